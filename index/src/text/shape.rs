//! What scoring has to know about a document besides its terms: the kind of text and its length, in one byte.

/// The kind of text that a document is, which decides how much its length and repeated terms count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum TextClass {
    /// A sentence, a short turn of a conversation, a note.
    Short = 0,
    /// Prose of several paragraphs, a long answer, an episode.
    Long = 1,
    /// Source code, logs, tool output.
    Code = 2,
}

/// How many text classes there are.
pub const TEXT_CLASSES: usize = 3;

/// Texts longer than this many characters are [`TextClass::Long`]: beyond it length stops being a matter of one
/// sentence more or less and starts to mean several topics.
const SHORT_CHARS_MAX: usize = 600;

/// Texts of fewer bytes are not looked at for signs of code: there is too little to tell.
const CODE_BYTES_MIN: usize = 80;

/// How much of a text is looked at for signs of code.
const CODE_SAMPLE_BYTES: usize = 4096;

/// One sign of code for this many bytes makes a text code.
const BYTES_PER_CODE_SIGN: usize = 40;

impl TextClass {
    /// The class of a text. `tool_output` says that a tool produced it, so that it is not prose.
    pub fn of(text: &str, tool_output: bool) -> Self {
        if tool_output || looks_like_code(text) {
            return Self::Code;
        }
        // Four bytes a character at most: most texts need no counting.
        if text.len() > SHORT_CHARS_MAX && text.chars().count() > SHORT_CHARS_MAX { Self::Long } else { Self::Short }
    }

    /// The class whose number is `code`, as [`Shape`] stores it; numbers out of range are [`TextClass::Long`].
    pub fn from_u8(code: u8) -> Self {
        match code {
            0 => Self::Short,
            2 => Self::Code,
            _ => Self::Long,
        }
    }
}

/// Looks for punctuation that prose does not have: braces, statement ends, assignments, calls and paths.
fn looks_like_code(text: &str) -> bool {
    if text.len() < CODE_BYTES_MIN {
        return false;
    }
    let sample = &text.as_bytes()[..text.len().min(CODE_SAMPLE_BYTES)];
    let mut signs = 0;
    for pair in sample.windows(2) {
        signs += usize::from(match pair {
            [b'{' | b'}' | b';', _] => true,
            [b'(', b')' | b'&' | b'"'] | [b':', b':'] | [b'-' | b'=', b'>'] | [b'=' | b'!', b'='] => true,
            [b'<', b'/'] | [b'"', b':'] | [b'/', b'/' | b'*'] | [b'\\', b'n'] => true,
            [a, b'(' | b'_'] => a.is_ascii_alphanumeric(),
            _ => false,
        });
    }
    signs * BYTES_PER_CODE_SIGN >= sample.len()
}

/// The class and the length of a document, packed into one byte that an index keeps beside its terms.
///
/// The length is kept on a logarithmic scale in steps of a sixth of an octave, about 12 %, which is finer than
/// scoring can feel; an index and the tail round alike, so that their scores are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape(u8);

/// Lengths are told apart in this many steps for each class.
const LENGTH_STEPS: u8 = 80;

impl Shape {
    /// Packs a class and a length, in the units that analysis returns.
    pub fn new(class: TextClass, length: u32) -> Self {
        let step = (f64::from(length.max(1)).log2() * STEPS_PER_OCTAVE).round() as u8;
        Self(class as u8 * LENGTH_STEPS + step.min(LENGTH_STEPS - 1))
    }

    /// The shape that was stored as `byte`.
    pub fn from_u8(byte: u8) -> Self {
        Self(byte.min(SHAPES as u8 - 1))
    }

    /// The byte to store.
    pub fn to_u8(self) -> u8 {
        self.0
    }

    /// The kind of text.
    pub fn class(self) -> TextClass {
        TextClass::from_u8(self.0 / LENGTH_STEPS)
    }

    /// The rounded length.
    pub fn length(self) -> f32 {
        (f64::from(self.0 % LENGTH_STEPS) / STEPS_PER_OCTAVE).exp2() as f32
    }
}

/// With 80 steps this reaches 2^13.2, about 9,000 units; a longer text counts as that long.
const STEPS_PER_OCTAVE: f64 = 6.0;

/// How many shapes there are.
pub const SHAPES: usize = TEXT_CLASSES * LENGTH_STEPS as usize;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_keeps_its_class_and_about_its_length() {
        for class in [TextClass::Short, TextClass::Long, TextClass::Code] {
            for length in [1, 2, 7, 30, 120, 999, 8_000] {
                let shape = Shape::from_u8(Shape::new(class, length).to_u8());
                assert_eq!(shape.class(), class);
                let ratio = shape.length() / length as f32;
                assert!((0.93..1.07).contains(&ratio), "{length} became {}", shape.length());
            }
        }
        assert_eq!(Shape::new(TextClass::Code, u32::MAX).class(), TextClass::Code);
        assert_eq!(Shape::new(TextClass::Short, 0).length(), 1.0);
    }

    #[test]
    fn code_is_told_from_prose() {
        let code = "fn main() {\n    let answer = compute(&input)?;\n    println!(\"{}\", answer);\n}\nimpl Foo { fn bar(&self) {} }";
        assert_eq!(TextClass::of(code, false), TextClass::Code);
        let prose =
            "We decided to use PostgreSQL 16.2 instead of MySQL (see the notes); it was faster for the warehouse.";
        assert_eq!(TextClass::of(prose, false), TextClass::Short);
        assert_eq!(TextClass::of(&prose.repeat(8), false), TextClass::Long);
        assert_eq!(TextClass::of("ok", true), TextClass::Code);
    }
}
