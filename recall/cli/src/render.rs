//! Records and answers as text for people.
//!
//! What is stored came from anywhere, so control characters are never passed on to a terminal.

mod answer;
mod record;

pub(crate) use answer::answer;
pub(crate) use record::{flag, message, record, signs};

/// Text for a terminal: line ends and tabs stay, every other control character is shown as a symbol.
pub(crate) fn visible(text: &str) -> String {
    text.chars().map(|c| if c == '\n' || c == '\t' { c } else { symbol(c) }).collect()
}

/// Text on one line: control characters and line ends become symbols or blanks.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if matches!(c, '\n' | '\r' | '\t') { ' ' } else { symbol(c) }).collect()
}

/// The symbol that stands for a control character (Unicode's control pictures); other characters stay.
fn symbol(c: char) -> char {
    match c {
        '\0'..='\x1f' => char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}'),
        '\x7f' => '\u{2421}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

/// The first characters of a text on one line, with `…` where it was cut; blanks are folded.
pub(crate) fn gist(text: &str, chars_max: usize) -> String {
    let mut gist = String::new();
    let mut chars = 0;
    for word in text.split_whitespace() {
        if chars > 0 {
            gist.push(' ');
            chars += 1;
        }
        for c in word.chars() {
            if chars >= chars_max {
                gist.push('…');
                return gist;
            }
            gist.push(symbol(c));
            chars += 1;
        }
    }
    gist
}

/// A size in bytes as people read it.
pub(crate) fn bytes(bytes: u64) -> String {
    let mut size = bytes as f64;
    for unit in ["bytes", "KiB", "MiB", "GiB"] {
        if size < 1024.0 {
            return if unit == "bytes" { format!("{bytes} bytes") } else { format!("{size:.1} {unit}") };
        }
        size /= 1024.0;
    }
    format!("{size:.1} TiB")
}

/// `1 record`, `2 records`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_cannot_steer_the_terminal() {
        assert_eq!(visible("a\x1b[31mred\u{9b}0m\r\nb\tc\0"), "a␛[31mred\u{fffd}0m␍\nb\tc␀");
        assert_eq!(one_line("a\r\nb\x07"), "a  b␇");
        assert_eq!(gist("a\n b\x1b", 9), "a b␛");
    }

    #[test]
    fn a_gist_is_cut_between_characters() {
        assert_eq!(gist("部署 到 生产环境", 5), "部署 到 …");
        assert_eq!(gist("", 5), "");
        assert_eq!(gist("short", 5), "short");
    }

    #[test]
    fn sizes_read_well() {
        assert_eq!(bytes(1023), "1023 bytes");
        assert_eq!(bytes(1024), "1.0 KiB");
        assert_eq!(bytes(5 << 30), "5.0 GiB");
        assert_eq!(count(1, "record"), "1 record");
    }
}
