//! Lines that an agent marks in its own words: `DECISION:` for a note, `LESSON:` for a lesson. No model is asked.

/// The longest marked line, in bytes; a rule is short.
const LINE_BYTES_MAX: usize = 1_000;

/// What a line is marked as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// What was decided.
    Decision,
    /// What is to be learned.
    Lesson,
}

/// The marked lines of what an agent said, in order, without their mark and the space around them. A line that is said
/// twice comes twice. Never call it with a tool's output.
///
/// A line inside a fenced block or a quotation is somebody else's and does not count.
pub fn lines(text: &str) -> impl Iterator<Item = (Mark, &str)> {
    let mut fenced = false;
    text.lines().filter_map(move |line| {
        let line = line.trim();
        if line.starts_with("```") || line.starts_with("~~~") {
            fenced = !fenced;
            return None;
        }
        if fenced || line.starts_with('>') {
            return None;
        }
        let line = line.trim_start_matches(['-', '*', '#', ' ']);
        let (mark, rest) = match line.strip_prefix("DECISION") {
            Some(rest) => (Mark::Decision, rest),
            None => (Mark::Lesson, line.strip_prefix("LESSON")?),
        };
        let rest = rest.trim_start_matches('*').strip_prefix([':', '：'])?;
        let rest = rest.trim_start_matches('*').trim();
        let rest = rest[..rest.floor_char_boundary(LINE_BYTES_MAX)].trim_end();
        (!rest.is_empty()).then_some((mark, rest))
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::Fold;
    use super::*;
    use crate::import::claude_code::SUBAGENT;
    use crate::record::{Message, MessageForm, Role};

    #[test]
    fn a_marked_line_is_the_agents_own_and_is_short() {
        let text = "I looked.\nDECISION: use the VPN\n- **LESSON:** 部署前先备份\n> LESSON: quoted\n~~~\nLESSON: a log\n~~~\n\
                    LESSONS: none\nDECISION:\n";
        assert_eq!(lines(text).collect::<Vec<_>>(), [(Mark::Decision, "use the VPN"), (Mark::Lesson, "部署前先备份")]);
        let long = format!("LESSON: {} {}", "x".repeat(LINE_BYTES_MAX - 1), "y");
        assert_eq!(lines(&long).map(|(_, line)| line.len()).collect::<Vec<_>>(), [LINE_BYTES_MAX - 1]);
    }

    #[test]
    fn a_sessions_lesson_is_the_first_one_that_its_own_agent_marked() {
        let below = Message { speaker: Some(SUBAGENT.to_owned()), ..Message::new(Role::Assistant, 1, "LESSON: below") };
        let summary =
            Message { form: MessageForm::Summary, ..Message::new(Role::Assistant, 2, "LESSON: of another time") };
        let said = [
            Message::new(Role::User, 0, "deploy it\nLESSON: of the person"),
            below,
            summary,
            Message::new(Role::Tool, 3, "LESSON: of a tool"),
            Message::new(Role::Assistant, 4, "I looked.\nDECISION: wait for the backup"),
            Message::new(Role::Assistant, 5, "Done.\n**LESSON:** back up first\nLESSON: and look twice"),
            Message::new(Role::Assistant, 6, "LESSON: a later one"),
        ];
        let fold = |said: &[Message]| {
            let mut fold = Fold::new();
            said.iter().for_each(|message| fold.message(message, Timestamp::UNIX_EPOCH));
            fold.finish().expect("something was done").lesson
        };
        assert_eq!(fold(&said).as_deref(), Some("back up first"));
        assert_eq!(fold(&said[..5]), None, "nobody else's line is its lesson");
    }
}
