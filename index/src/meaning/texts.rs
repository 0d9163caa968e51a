//! Which texts of a record are embedded: what somebody said or asked to have remembered, and of what a tool printed
//! only the lines that report an error.

use std::ops::Range;

use harness_memory::import::fold::reason;
use harness_memory::{Body, Episode, Message, MessageForm, Record, Role};
use sha2::{Digest, Sha256};

use crate::embed::passages::passages;
use crate::text::reports_error;
use crate::vector::Content;

/// Of one text so many bytes are embedded, from its beginning: as much as full text searches of it. A megabyte of
/// pasted log would otherwise keep an embedder busy for a minute.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// Of the lines of a tool's output that report an error, so many bytes are embedded.
const ERROR_LINES_BYTES_MAX: usize = 4 * 1024;

/// A line that reports an error is embedded up to here; what follows is data.
const ERROR_LINE_BYTES_MAX: usize = 512;

/// One text that becomes a vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// What is embedded.
    pub(crate) text: String,
    /// Which part of [`Record::text`] it comes from, if it is one.
    pub(crate) range: Option<Range<usize>>,
}

impl Piece {
    /// The hash that names the text in the cache and in the index.
    pub(crate) fn content(&self) -> Content {
        let hash = Sha256::digest(self.text.as_bytes());
        let mut content = Content::default();
        content.copy_from_slice(&hash[..16]);
        content
    }
}

/// The pieces of a record, in order; none for what is not embedded.
pub(crate) fn pieces(record: &Record) -> Vec<Piece> {
    match &record.body {
        Body::Message(message) => self::message(message),
        Body::Episode(episode) => self::episode(episode),
        Body::Note(note) => of_text(&note.text, ""),
        Body::Lesson(lesson) => of_text(&lesson.text, ""),
    }
}

/// The byte range of a record's text that its piece of this number comes from.
pub fn passage_of(record: &Record, number: u32) -> Option<Range<usize>> {
    pieces(record).into_iter().nth(number as usize)?.range
}

/// A turn, each passage after the name of who spoke: who said something is part of what it means.
fn message(message: &Message) -> Vec<Piece> {
    if message.form == MessageForm::Scaffold {
        return Vec::new();
    }
    if message.role == Role::Tool || message.tool_result.is_some() {
        return Vec::from_iter(errors(&message.text));
    }
    let head = message.speaker.as_ref().map_or(String::new(), |speaker| format!("{speaker}: "));
    let mut pieces = of_text(&message.text, &head);
    let caption = message.caption.as_deref().map(str::trim).filter(|caption| !caption.is_empty());
    if let Some(caption) = caption {
        match &mut pieces[..] {
            // What was said of a picture and what it shows are one statement.
            [only] => only.text = format!("{}\n{}", only.text, head_of(caption, TEXT_BYTES_MAX)),
            _ => pieces.extend(of_text(caption, &head).into_iter().map(|piece| Piece { range: None, ..piece })),
        }
    }
    pieces
}

/// An episode: what was asked, what else the person said, what went wrong and what to take from it. The names of its
/// tools are left to full text: to a sentence model they are noise.
fn episode(episode: &Episode) -> Vec<Piece> {
    let mut pieces = of_text(&episode.situation, "");
    let told = episode.reason.as_deref().and_then(reason::told);
    let rest = [
        episode.user_turns.join("\n"),
        episode.errors.join("\n"),
        Vec::from_iter(told.into_iter().chain(episode.lesson.as_deref())).join("\n"),
    ];
    for text in rest {
        pieces.extend(of_text(&text, "").into_iter().map(|piece| Piece { range: None, ..piece }));
    }
    pieces
}

fn of_text(text: &str, head: &str) -> Vec<Piece> {
    passages(head_of(text, TEXT_BYTES_MAX))
        .into_iter()
        .map(|range| Piece { text: format!("{head}{}", &text[range.clone()]), range: Some(range) })
        .collect()
}

fn errors(output: &str) -> Option<Piece> {
    let mut text = String::new();
    for line in output.lines().filter(|line| reports_error(line)) {
        if text.len() >= ERROR_LINES_BYTES_MAX {
            break;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(head_of(line.trim(), ERROR_LINE_BYTES_MAX));
    }
    (!text.is_empty()).then_some(Piece { text, range: None })
}

fn head_of(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use harness_memory::{Note, Origin, Scope};

    use super::*;

    fn texts(body: impl Into<Body>) -> Vec<String> {
        let record = Record::new(Scope::root(), "test", Origin::User, body);
        pieces(&record).into_iter().map(|piece| piece.text).collect()
    }

    #[test]
    fn what_was_said_is_embedded_with_who_said_it_and_what_a_picture_shows() {
        let mut turn = Message::new(Role::User, 0, " I went to the pottery class. ");
        turn.speaker = Some("Melanie".into());
        turn.caption = Some("a blue bowl".into());
        assert_eq!(texts(turn), ["Melanie: I went to the pottery class.\na blue bowl"]);
        let mut picture = Message::new(Role::User, 0, "");
        picture.caption = Some("a blue bowl".into());
        assert_eq!(texts(picture), ["a blue bowl"]);
    }

    #[test]
    fn of_tool_output_only_the_lines_that_report_an_error_are_embedded() {
        let output = "compiling\n  error[E0308]: mismatched types\nnote: 17 more\n";
        assert_eq!(texts(Message::new(Role::Tool, 0, output)), ["error[E0308]: mismatched types"]);
        assert!(texts(Message::new(Role::Tool, 0, "all good")).is_empty());
    }

    #[test]
    fn scaffold_is_not_embedded() {
        let mut turn = Message::new(Role::User, 0, "<environment>");
        turn.form = MessageForm::Scaffold;
        assert!(texts(turn).is_empty());
    }

    #[test]
    fn a_long_text_is_embedded_in_passages_that_know_their_place() {
        let text = "The deploy failed again because the disk of the second build machine was full. ".repeat(60);
        let record = Record::new(Scope::root(), "test", Origin::User, Note::new(&*text));
        let pieces = pieces(&record);
        assert!(pieces.len() > 2);
        for (number, piece) in pieces.iter().enumerate() {
            let range = passage_of(&record, number as u32).unwrap();
            assert_eq!(piece.text, text[range]);
        }
        assert_eq!(passage_of(&record, 1_000), None);
    }
}
