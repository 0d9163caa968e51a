//! Which languages a model declares, and which script a character is written in.

use std::borrow::Cow;

/// A writing system, as coarse as the question "can this model read it" needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are those of ISO 15924")]
pub enum Script {
    Latin,
    Greek,
    Cyrillic,
    Armenian,
    Georgian,
    Hebrew,
    Arabic,
    Devanagari,
    Bengali,
    Gurmukhi,
    Gujarati,
    Oriya,
    Tamil,
    Telugu,
    Kannada,
    Malayalam,
    Sinhala,
    Thai,
    Lao,
    Tibetan,
    Myanmar,
    Khmer,
    Ethiopic,
    /// Chinese characters, in whichever language.
    Han,
    /// Hiragana and katakana.
    Kana,
    Hangul,
    /// Letters of any other script.
    Other,
}

impl Script {
    /// The script of a letter; nothing for digits, punctuation, symbols, marks and white space, which
    /// belong to no script.
    pub fn of(c: char) -> Option<Self> {
        if c.is_ascii() {
            return c.is_ascii_alphabetic().then_some(Self::Latin);
        }
        if !c.is_alphabetic() {
            return None;
        }
        // Blocks in order; letters of a block that has none of its own fall to `Other`.
        let script = match u32::from(c) {
            0x00AA..=0x02FF | 0x1D00..=0x1D25 | 0x1D2C..=0x1D5C | 0x1D62..=0x1D65 => Self::Latin,
            0x1D6B..=0x1DBF | 0x1E00..=0x1EFF | 0x2071..=0x209C | 0x212A..=0x212B => Self::Latin,
            0x2C60..=0x2C7F | 0xA722..=0xA7FF | 0xAB30..=0xAB64 | 0xFB00..=0xFB06 => Self::Latin,
            0xFF21..=0xFF5A => Self::Latin,
            0x0370..=0x03FF | 0x1F00..=0x1FFF | 0x2126 => Self::Greek,
            0x0400..=0x052F | 0x1C80..=0x1C8F | 0x2DE0..=0x2DFF | 0xA640..=0xA69F => Self::Cyrillic,
            0x0530..=0x058F | 0xFB13..=0xFB17 => Self::Armenian,
            0x0590..=0x05FF | 0xFB1D..=0xFB4F => Self::Hebrew,
            0x0600..=0x06FF | 0x0750..=0x077F | 0x0870..=0x08FF => Self::Arabic,
            0xFB50..=0xFDFF | 0xFE70..=0xFEFF => Self::Arabic,
            0x0900..=0x097F | 0xA8E0..=0xA8FF => Self::Devanagari,
            0x0980..=0x09FF => Self::Bengali,
            0x0A00..=0x0A7F => Self::Gurmukhi,
            0x0A80..=0x0AFF => Self::Gujarati,
            0x0B00..=0x0B7F => Self::Oriya,
            0x0B80..=0x0BFF => Self::Tamil,
            0x0C00..=0x0C7F => Self::Telugu,
            0x0C80..=0x0CFF => Self::Kannada,
            0x0D00..=0x0D7F => Self::Malayalam,
            0x0D80..=0x0DFF => Self::Sinhala,
            0x0E00..=0x0E7F => Self::Thai,
            0x0E80..=0x0EFF => Self::Lao,
            0x0F00..=0x0FFF => Self::Tibetan,
            0x1000..=0x109F | 0xA9E0..=0xA9FF | 0xAA60..=0xAA7F => Self::Myanmar,
            0x10A0..=0x10FF | 0x1C90..=0x1CBF | 0x2D00..=0x2D2F => Self::Georgian,
            0x1780..=0x17FF => Self::Khmer,
            0x1200..=0x139F | 0x2D80..=0x2DDF | 0xAB00..=0xAB2F => Self::Ethiopic,
            0x1100..=0x11FF | 0x3130..=0x318F | 0xA960..=0xA97F | 0xAC00..=0xD7FF => Self::Hangul,
            0xFFA0..=0xFFDC => Self::Hangul,
            0x3040..=0x30FF | 0x31F0..=0x31FF | 0xFF66..=0xFF9F | 0x1AFF0..=0x1B16F => Self::Kana,
            0x2E80..=0x2FDF | 0x3005..=0x3007 | 0x3021..=0x3029 | 0x3038..=0x303B => Self::Han,
            0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x20000..=0x3FFFF => Self::Han,
            // Letters of mathematics are Latin or Greek ones in another dress.
            0x1D400..=0x1D7FF => Self::Latin,
            _ => Self::Other,
        };
        Some(script)
    }
}

/// The languages that a model declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Languages {
    codes: Cow<'static, [&'static str]>,
    scripts: Vec<Script>,
    any: bool,
}

/// Languages of XLM-R's training data, on which the multilingual sentence models were built.
const XLM_R: &[&str] = &[
    "af", "am", "ar", "as", "az", "be", "bg", "bn", "br", "bs", "ca", "cs", "cy", "da", "de", "el", "en", "eo", "es",
    "et", "eu", "fa", "fi", "fr", "fy", "ga", "gd", "gl", "gu", "ha", "he", "hi", "hr", "hu", "hy", "id", "is", "it",
    "ja", "jv", "ka", "kk", "km", "kn", "ko", "ku", "ky", "la", "lo", "lt", "lv", "mg", "mk", "ml", "mn", "mr", "ms",
    "my", "ne", "nl", "no", "om", "or", "pa", "pl", "ps", "pt", "ro", "ru", "sa", "sd", "si", "sk", "sl", "so", "sq",
    "sr", "su", "sv", "sw", "ta", "te", "th", "tl", "tr", "ug", "uk", "ur", "uz", "vi", "xh", "yi", "zh",
];

impl Languages {
    /// English only.
    pub fn english() -> Self {
        Self::of(&["en"])
    }

    /// Chinese, with the English that its texts are mixed with.
    pub fn chinese() -> Self {
        Self::of(&["zh", "en"])
    }

    /// The hundred languages of XLM-R.
    pub fn multilingual() -> Self {
        Self::of(XLM_R)
    }

    /// Nothing is declared: every script counts as read. For embedders that look at bytes only.
    pub fn undeclared() -> Self {
        Self { codes: Cow::Borrowed(&[]), scripts: Vec::new(), any: true }
    }

    /// Languages by their ISO 639-1 codes. A code whose script is not known here counts as Latin.
    pub fn of(codes: &'static [&'static str]) -> Self {
        let mut scripts: Vec<Script> = codes.iter().flat_map(|code| scripts_of(code)).copied().collect();
        scripts.sort_unstable();
        scripts.dedup();
        Self { codes: Cow::Borrowed(codes), scripts, any: false }
    }

    /// The declared codes, empty when nothing is declared.
    pub fn codes(&self) -> &[&'static str] {
        &self.codes
    }

    /// Whether one of the languages is written in this script.
    pub fn reads(&self, script: Script) -> bool {
        self.any || self.scripts.binary_search(&script).is_ok()
    }
}

fn scripts_of(code: &str) -> &'static [Script] {
    match code {
        "ar" | "fa" | "ps" | "sd" | "ug" | "ur" => &[Script::Arabic],
        "ku" => &[Script::Latin, Script::Arabic],
        "as" | "bn" => &[Script::Bengali],
        "be" | "bg" | "kk" | "ky" | "mk" | "mn" | "ru" | "uk" => &[Script::Cyrillic],
        "sr" | "bs" | "uz" | "az" => &[Script::Latin, Script::Cyrillic],
        "el" => &[Script::Greek],
        "hy" => &[Script::Armenian],
        "ka" => &[Script::Georgian],
        "he" | "yi" => &[Script::Hebrew],
        "hi" | "mr" | "ne" | "sa" => &[Script::Devanagari],
        "pa" => &[Script::Gurmukhi],
        "gu" => &[Script::Gujarati],
        "or" => &[Script::Oriya],
        "ta" => &[Script::Tamil],
        "te" => &[Script::Telugu],
        "kn" => &[Script::Kannada],
        "ml" => &[Script::Malayalam],
        "si" => &[Script::Sinhala],
        "th" => &[Script::Thai],
        "lo" => &[Script::Lao],
        "bo" => &[Script::Tibetan],
        "my" => &[Script::Myanmar],
        "km" => &[Script::Khmer],
        "am" => &[Script::Ethiopic],
        "zh" => &[Script::Han],
        "ja" => &[Script::Han, Script::Kana],
        "ko" => &[Script::Hangul, Script::Han],
        _ => &[Script::Latin],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_have_a_script_and_the_rest_has_none() {
        let cases = [
            ('a', Some(Script::Latin)),
            ('ß', Some(Script::Latin)),
            ('ｚ', Some(Script::Latin)),
            ('Ж', Some(Script::Cyrillic)),
            ('λ', Some(Script::Greek)),
            ('学', Some(Script::Han)),
            ('の', Some(Script::Kana)),
            ('한', Some(Script::Hangul)),
            ('ع', Some(Script::Arabic)),
            ('ก', Some(Script::Thai)),
            ('ᐊ', Some(Script::Other)),
            ('7', None),
            ('。', None),
            ('😀', None),
            ('_', None),
            ('×', None),
        ];
        for (c, script) in cases {
            assert_eq!(Script::of(c), script, "{c}");
        }
    }

    #[test]
    fn declared_languages_read_their_scripts_only() {
        let english = Languages::english();
        assert!(english.reads(Script::Latin) && !english.reads(Script::Hangul));
        let all = Languages::multilingual();
        assert!(all.reads(Script::Hangul) && all.reads(Script::Kana) && !all.reads(Script::Other));
        assert!(Languages::undeclared().reads(Script::Other));
    }
}
