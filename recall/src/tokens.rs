//! How many tokens a text takes in a prompt, at most.
//!
//! Models count differently, and a tokenizer's table is megabytes. A budget needs a bound that holds,
//! not the exact number: this one counts by the kind of character, on the safe side of OpenAI's
//! `o200k_base`, which spends the most on code and rare scripts.

/// A number of tokens that this text does not exceed.
pub fn at_most(text: &str) -> usize {
    let mut tokens = 0.0_f64;
    let mut run = 0_usize;
    for c in text.chars() {
        if c.is_ascii_alphabetic() {
            run += 1;
            continue;
        }
        tokens += letters(std::mem::take(&mut run));
        tokens += match c {
            ' ' => 0.3,
            '0'..='9' => 0.5,
            c if c.is_ascii() => 1.0,
            // Common Han characters and kana take about one, rare ones up to their three bytes.
            '\u{3040}'..='\u{30ff}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' => 1.6,
            '\u{3000}'..='\u{303f}' | '\u{ff00}'..='\u{ffef}' => 2.0,
            // Letters of alphabets, with or without marks.
            c if c.len_utf8() == 2 => 1.2,
            c => c.len_utf8() as f64,
        };
    }
    (tokens + letters(run)).ceil() as usize
}

/// Tokens of a run of ASCII letters: words of a language take one for five letters or more, random ones
/// one for two.
fn letters(run: usize) -> f64 {
    if run == 0 { 0.0 } else { (run as f64 / 2.5).ceil() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_text_takes_nothing_and_more_text_takes_more() {
        assert_eq!(at_most(""), 0);
        let mut last = 0;
        let mut text = String::new();
        for piece in ["word", " and", " 数据库", "。", " E0308", "\n\t{}", "🙂"] {
            text.push_str(piece);
            let now = at_most(&text);
            assert!(now > last, "{text}");
            last = now;
        }
    }
}
