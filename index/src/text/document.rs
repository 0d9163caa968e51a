//! Which text of a record is searched, and what kind of text that is.

use std::borrow::Cow;
use std::fmt::Write;

use harness_memory::import::fold::reason;
use harness_memory::{Body, Episode, Message, MessageForm, Record, Role};
use jiff::Timestamp;

use super::TextClass;

/// Of a record's text this many bytes are searched, from its beginning, and beyond it the lines that report an
/// error: a quarter of an hour's reading, of which a longer text adds logs and data.
pub const DOCUMENT_BYTES_MAX: usize = 64 * 1024;

/// Of what a tool printed this many bytes are searched, and beyond it the lines that report an error: tools print
/// most of what there is, and what somebody looks for is said around it.
pub const TOOL_OUTPUT_BYTES_MAX: usize = 4 * 1024;

/// Of the lines that report an error beyond the limits above, this many bytes are searched.
pub const ERROR_LINES_BYTES_MAX: usize = 4 * 1024;

/// Of the arguments of one call of a tool this many bytes are searched: a path or a command stands first, the
/// content of a written file after it.
pub const ARGUMENTS_BYTES_MAX: usize = 512;

/// Of a session's turn at most this many calls of tools are searched.
const CALLS_MAX: usize = 64;

/// The text of a record as it is searched.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Document<'a> {
    pub(crate) text: Cow<'a, str>,
    pub(crate) class: TextClass,
}

/// The searched text of a record; `None` for what is kept and never searched, and for what says nothing.
pub(crate) fn document(record: &Record) -> Option<Document<'_>> {
    let document = match &record.body {
        Body::Message(message) => self::message(record, message)?,
        Body::Episode(episode) => self::episode(episode),
        Body::Note(note) => statement(&note.text, &record.tags),
        Body::Lesson(lesson) => statement(&lesson.text, &record.tags),
    };
    (!document.text.trim().is_empty()).then_some(document)
}

/// A turn: who spoke and when, as people ask for it, what was said, what an image shows, and which tools were called.
fn message<'a>(record: &'a Record, message: &'a Message) -> Option<Document<'a>> {
    if message.form == MessageForm::Scaffold {
        return None;
    }
    let output = message.role == Role::Tool || message.tool_result.is_some();
    let said = cut(&message.text, if output { TOOL_OUTPUT_BYTES_MAX } else { DOCUMENT_BYTES_MAX });
    let class = TextClass::of(&said, output);
    if output {
        // Neither a speaker nor a day is asked for here, but the tool's name may be.
        let tool = message.tool_result.as_ref().map_or("", |result| result.tool.as_str());
        return Some(Document { text: prefixed(tool, said, record), class });
    }
    let mut head = message.speaker.clone().unwrap_or_default();
    if message.form == MessageForm::Statement && !(said.trim().is_empty() && message.caption.is_none()) {
        push_day(&mut head, record.created_at, &said);
    }
    let mut text = prefixed(&head, said, record);
    if let Some(caption) = &message.caption {
        push_line(text.to_mut(), cut(caption, DOCUMENT_BYTES_MAX).as_ref());
    }
    for call in message.tool_calls.iter().take(CALLS_MAX) {
        let text = text.to_mut();
        push_line(text, &call.tool);
        text.push(' ');
        text.push_str(head_of(&call.arguments, ARGUMENTS_BYTES_MAX));
    }
    Some(Document { text, class })
}

/// An episode: what was asked, what was used, what went wrong, how it ended as far as somebody said it, and what to
/// take from it.
fn episode(episode: &Episode) -> Document<'_> {
    let mut text = cut(&episode.situation, DOCUMENT_BYTES_MAX).into_owned();
    for turn in &episode.user_turns {
        push_line(&mut text, turn);
    }
    for tool in &episode.tools {
        push_line(&mut text, &tool.tool);
        text.push(' ');
        text.push_str(head_of(&tool.gist, ARGUMENTS_BYTES_MAX));
        if let Some(error) = &tool.error {
            push_line(&mut text, head_of(error, ERROR_LINES_BYTES_MAX));
        }
    }
    let told = episode.reason.as_deref().and_then(reason::told);
    let lines = episode.errors.iter().map(String::as_str).chain(told).chain(episode.lesson.as_deref());
    lines.for_each(|line| push_line(&mut text, line));
    // What was asked decides the kind: the names of tools among prose do not make code of it.
    let class = match TextClass::of(&episode.situation, false) {
        TextClass::Code => TextClass::Code,
        _ => TextClass::of(&text, false).min(TextClass::Long),
    };
    let text = match cut(&text, DOCUMENT_BYTES_MAX) {
        Cow::Owned(shorter) => shorter,
        Cow::Borrowed(_) => text,
    };
    Document { text: Cow::Owned(text), class }
}

/// A note or lesson, with its tags.
fn statement<'a>(text: &'a str, tags: &[String]) -> Document<'a> {
    let class = TextClass::of(text, false);
    let mut text = cut(text, DOCUMENT_BYTES_MAX);
    for tag in tags {
        push_line(text.to_mut(), tag);
    }
    Document { text, class }
}

/// A text after a line of its own, with the tags of its record.
fn prefixed<'a>(head: &str, text: Cow<'a, str>, record: &Record) -> Cow<'a, str> {
    if head.is_empty() && record.tags.is_empty() {
        return text;
    }
    let mut whole = String::with_capacity(head.len() + text.len() + 16);
    whole.push_str(head);
    push_line(&mut whole, &text);
    for tag in &record.tags {
        push_line(&mut whole, tag);
    }
    Cow::Owned(whole)
}

fn push_line(text: &mut String, line: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(line);
}

/// A day as people who write like this spell it: `2 May 2023`, `2023年5月2日`, `2023년 5월 2일`. The clock is left out:
/// nobody asks for a minute.
fn push_day(head: &mut String, at: Timestamp, text: &str) {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    if !head.is_empty() {
        head.push(' ');
    }
    let date = at.to_zoned(jiff::tz::TimeZone::UTC).date();
    let (year, month, day) = (date.year(), date.month(), date.day());
    let _ = match text.chars().take(SCRIPT_CHARS).find_map(calendar) {
        // 日 is written and 号 is said; Japanese knows only the former, and the latter does no harm there.
        Some(Calendar::Han) => write!(head, "{year}年{month}月{day}日 {day}号"),
        Some(Calendar::Hangul) => write!(head, "{year}년 {month}월 {day}일"),
        None => write!(head, "{day} {} {year}", MONTHS[(month - 1) as usize % 12]),
    };
}

/// So much of a text is looked at for the script it is in.
const SCRIPT_CHARS: usize = 200;

/// How a script spells a date, where it is not by the names of months.
enum Calendar {
    Han,
    Hangul,
}

fn calendar(c: char) -> Option<Calendar> {
    match c {
        '\u{3041}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' => Some(Calendar::Han),
        '\u{ac00}'..='\u{d7a3}' => Some(Calendar::Hangul),
        _ => None,
    }
}

/// The beginning of a text, on a character boundary.
fn head_of(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// The first `bytes` of a text, at the end of a line where one is near, and of the rest the lines that report an error.
fn cut(text: &str, bytes: usize) -> Cow<'_, str> {
    if text.len() <= bytes {
        return Cow::Borrowed(text);
    }
    let head = head_of(text, bytes);
    let head = match head.rfind('\n') {
        Some(end) if end > bytes / 2 => &head[..end],
        _ => head,
    };
    let mut short = head.to_owned();
    let room = short.len() + ERROR_LINES_BYTES_MAX;
    for line in text[head.len()..].lines().filter(|line| reports_error(line)) {
        if short.len() >= room {
            break;
        }
        push_line(&mut short, head_of(line, ARGUMENTS_BYTES_MAX));
    }
    Cow::Owned(short)
}

/// How much of a line is looked at for a sign of an error: such lines say so early.
const SIGN_BYTES: usize = 160;

/// Whether a line looks like the report of an error, as compilers, test runners and shells write it.
pub(crate) fn reports_error(line: &str) -> bool {
    const SIGNS: [&[u8]; 8] =
        [b"error", b"failed", b"failure", b"exception", b"panicked", b"traceback", b"fatal", b"not found"];
    let line = head_of(line.trim_start(), SIGN_BYTES).as_bytes();
    SIGNS.iter().any(|sign| line.windows(sign.len()).any(|window| window.eq_ignore_ascii_case(sign)))
}

#[cfg(test)]
mod tests {
    use harness_memory::{MessageForm, Note, Origin, Outcome, Scope, ToolCall, ToolResult, ToolUse};

    use super::*;

    fn record(body: impl Into<Body>) -> Record {
        let mut record = Record::new(Scope::root(), "test", Origin::User, body);
        record.created_at = "2023-05-02T10:11:12Z".parse().unwrap();
        record
    }

    fn text(record: &Record) -> String {
        document(record).unwrap().text.into_owned()
    }

    #[test]
    fn a_turn_is_found_by_who_said_it_and_when() {
        let mut turn = Message::new(Role::User, 0, "I went to the pottery class");
        turn.speaker = Some("Melanie".into());
        turn.caption = Some("a blue bowl".into());
        assert_eq!(text(&record(turn)), "Melanie 2 May 2023\nI went to the pottery class\na blue bowl");
        let day_of = |said: &str| text(&record(Message::new(Role::User, 0, said)));
        assert_eq!(day_of("no name"), "2 May 2023\nno name");
        assert_eq!(day_of("部署失败了"), "2023年5月2日 2号\n部署失败了");
        assert_eq!(day_of("배포가 실패했다"), "2023년 5월 2일\n배포가 실패했다");
    }

    #[test]
    fn scaffold_is_not_searched_and_summaries_are() {
        let mut turn = Message::new(Role::User, 0, "<environment>");
        turn.form = MessageForm::Scaffold;
        assert_eq!(document(&record(turn.clone())), None);
        turn.form = MessageForm::Summary;
        assert!(document(&record(turn)).is_some());
    }

    #[test]
    fn of_tool_output_the_head_and_the_errors_are_searched() {
        let mut lines = vec!["compiling".to_owned(); 2_000];
        lines[1_500] = "error[E0308]: mismatched types".to_owned();
        let mut turn = Message::new(Role::Tool, 0, lines.join("\n"));
        turn.tool_result = Some(ToolResult { call: String::new(), tool: "Bash".into(), ok: Some(false) });
        let record = record(turn);
        let document = document(&record).unwrap();
        assert_eq!(document.class, TextClass::Code);
        assert!(document.text.starts_with("Bash\ncompiling"));
        assert!(document.text.ends_with("error[E0308]: mismatched types"));
        assert!(document.text.len() < TOOL_OUTPUT_BYTES_MAX + ERROR_LINES_BYTES_MAX + 100);
    }

    #[test]
    fn a_turn_that_only_calls_tools_is_found_by_them() {
        let mut turn = Message::new(Role::Assistant, 0, "");
        turn.tool_calls.push(ToolCall {
            call: "1".into(),
            tool: "Edit".into(),
            arguments: r#"{"file_path":"src/lexer.rs"}"#.into(),
        });
        assert_eq!(text(&record(turn)), "Edit {\"file_path\":\"src/lexer.rs\"}");
        assert_eq!(document(&record(Message::new(Role::Tool, 0, " "))), None);
    }

    #[test]
    fn an_episode_is_found_by_everything_in_it() {
        let mut episode = Episode::new("cancel the booking");
        episode.user_turns.push("yes, both".into());
        episode.tools.push(ToolUse {
            tool: "get_reservation".into(),
            gist: "id=4WQ150".into(),
            ok: Some(false),
            error: Some("no such reservation".into()),
        });
        episode.outcome = Outcome::Failure;
        episode.reason = Some("the id was mistyped".into());
        episode.lesson = Some("ask for the id again".into());
        let all = text(&record(episode));
        for part in ["cancel", "both", "get_reservation id=4WQ150", "no such", "mistyped", "ask for"] {
            assert!(all.contains(part), "{part}");
        }
    }

    #[test]
    fn an_episode_is_not_found_by_what_the_program_says_of_its_end() {
        let mut episode = Episode::new("mend the loom");
        episode.reason = Some(reason::UNKNOWN.to_owned());
        assert_eq!(text(&record(episode.clone())), "mend the loom");
        episode.reason = Some("the user said: 还是报错".to_owned());
        assert_eq!(text(&record(episode)), "mend the loom\n还是报错");
    }

    #[test]
    fn long_texts_are_cut_on_character_boundaries() {
        for text in ["长".repeat(100_000), "👩‍👩‍👧".repeat(50_000), "x".repeat(1 << 20)] {
            let record = record(Note::new(text));
            assert!(document(&record).unwrap().text.len() <= DOCUMENT_BYTES_MAX + ERROR_LINES_BYTES_MAX + 600);
        }
    }
}
