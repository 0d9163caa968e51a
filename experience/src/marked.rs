//! Lines that an agent marks: `DECISION:` is a note, `LESSON:` a lesson. No model is asked.

/// The most marked lines taken from one run: more is a document of its own.
const MARKED_MAX: usize = 16;

/// The longest marked line, in bytes; a rule is short.
const LINE_BYTES_MAX: usize = 1_000;

/// What an agent marked in its own words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marked {
    /// What was decided.
    pub decisions: Vec<String>,
    /// What is to be learned.
    pub lessons: Vec<String>,
}

impl Marked {
    /// The marked lines of what an agent said, each once. Never call it with a tool's output.
    ///
    /// A line inside a fenced block or a quotation is somebody else's and does not count.
    pub fn in_text(text: &str) -> Marked {
        let mut marked = Marked::default();
        let mut fenced = false;
        for line in text.lines() {
            let line = line.trim();
            if line.starts_with("```") || line.starts_with("~~~") {
                fenced = !fenced;
                continue;
            }
            if fenced || line.starts_with('>') {
                continue;
            }
            let line = line.trim_start_matches(['-', '*', '#', ' ']);
            for (mark, list) in [("DECISION", &mut marked.decisions), ("LESSON", &mut marked.lessons)] {
                let Some(rest) = line.strip_prefix(mark) else { continue };
                let Some(rest) = rest.trim_start_matches('*').strip_prefix([':', '：']) else { continue };
                let rest = rest.trim_start_matches('*').trim();
                let rest = &rest[..rest.floor_char_boundary(LINE_BYTES_MAX)];
                if !rest.is_empty() && list.len() < MARKED_MAX && !list.iter().any(|known| known == rest) {
                    list.push(rest.to_owned());
                }
            }
        }
        marked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_lines_are_taken_once_and_only_from_the_agents_own_words() {
        let text = "I looked.\nDECISION: use the VPN\n- **LESSON:** 部署前先备份\nLESSON：先跑 migrate\n> LESSON: quoted\n\
                    ```\nLESSON: from a log\n```\nDECISION: use the VPN\nthe LESSON: inside a sentence\nLESSON:\n";
        let marked = Marked::in_text(text);
        assert_eq!(marked.decisions, ["use the VPN"]);
        assert_eq!(marked.lessons, ["部署前先备份", "先跑 migrate"]);
    }
}
