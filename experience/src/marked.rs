//! Lines that an agent marks: `DECISION:` is a note, `LESSON:` a lesson. How a line is marked, [`lines`] says.

use harness_memory::import::fold::marked::{Mark, lines};

/// The most marked lines of each kind that are taken from one run: more is a document of its own.
const MARKED_MAX: usize = 16;

/// What an agent marked in its own words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marked {
    /// What was decided.
    pub decisions: Vec<String>,
    /// What is to be learned.
    pub lessons: Vec<String>,
    /// Whether there were more than are kept.
    pub left_out: bool,
}

impl Marked {
    /// The marked lines of what an agent said, each once. Never call it with a tool's output.
    pub fn in_text(text: &str) -> Marked {
        let mut marked = Marked::default();
        marked.gather(text);
        marked
    }

    /// Adds the marked lines of what the agent said next. Hearing a text twice adds nothing.
    pub fn gather(&mut self, text: &str) {
        lines(text).for_each(|(mark, line)| self.add(mark, line));
    }

    /// Adds what was marked elsewhere in the same run, each once.
    pub fn merge(&mut self, other: &Marked) {
        other.decisions.iter().for_each(|line| self.add(Mark::Decision, line));
        other.lessons.iter().for_each(|line| self.add(Mark::Lesson, line));
        self.left_out |= other.left_out;
    }

    fn add(&mut self, mark: Mark, line: &str) {
        let list = match mark {
            Mark::Decision => &mut self.decisions,
            Mark::Lesson => &mut self.lessons,
        };
        if list.iter().any(|known| known == line) {
            return;
        }
        if list.len() == MARKED_MAX {
            self.left_out = true;
            return;
        }
        list.push(line.to_owned());
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

    #[test]
    fn a_run_has_a_most_of_marked_lines_over_all_that_was_said() {
        let mut marked = Marked::default();
        for turn in 0..MARKED_MAX {
            marked.gather(&format!("LESSON: rule {turn}  \nLESSON: rule 0"));
        }
        assert_eq!((marked.lessons.len(), marked.left_out), (MARKED_MAX, false));
        marked.merge(&Marked::in_text("LESSON: rule 3\nLESSON: one more\nDECISION: a decision has its own room"));
        assert_eq!((marked.lessons.len(), marked.decisions.len(), marked.left_out), (MARKED_MAX, 1, true));
    }
}
