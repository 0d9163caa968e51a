//! The export of ChatGPT: `conversations.json`, one list of conversations, each a tree of messages.
//!
//! What is particular about it: a message that was edited or answered anew is a branch of the tree. What
//! counts is the branch that ends at `current_node`. The file may hold years, so its conversations are read
//! one after the other. A later export holds the earlier one's conversations again, under the same ids.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;

use super::elements::{Element, Elements};
use super::lines;
use super::node::{Fields, Node};
use super::parts::{push_paragraph, said};
use super::transcript::{Sink, Transcript, time};
use super::{Cursor, Importer, Item, LINE_BYTES_MAX, Report};
use crate::error::Result;
use crate::record::{Message, Role};

const TOOL: &str = "chatgpt";

/// The longest branch that is followed: a tree that names itself would go on forever.
const BRANCH_MAX: usize = 100_000;

/// Reads ChatGPT's export.
#[derive(Debug, Default, Clone, Copy)]
pub struct ChatGpt;

impl Importer for ChatGpt {
    fn tool(&self) -> &'static str {
        TOOL
    }

    fn detect(&self, path: &Path, head: &[u8]) -> bool {
        let text = String::from_utf8_lossy(head);
        path.extension().is_some_and(|extension| extension == "json")
            && text.contains("\"mapping\"")
            && (text.contains("\"create_time\"") || text.contains("\"current_node\""))
    }

    /// Exports are downloaded: there is no place of their own.
    fn default_places(&self, _: &Path) -> Vec<PathBuf> {
        Vec::new()
    }

    fn rewrites(&self) -> bool {
        true
    }

    fn read(
        &self,
        path: &Path,
        from: Option<&Cursor>,
        sink: &mut dyn FnMut(Item) -> ControlFlow<()>,
    ) -> Result<Report> {
        let mut transcript = Transcript::new(TOOL, path, None);
        let (head, length) = Elements::print(path)?;
        if let Some(from) = from.filter(|from| from.offset == length && from.head == head && length > 0) {
            transcript.report.cursor = from.clone();
            return Ok(transcript.report);
        }
        transcript.report.restarted = from.is_some_and(|from| from.offset > 0);
        let mut elements = Elements::open(path)?;
        loop {
            let number = transcript.report.lines + 1;
            match elements.next()? {
                Element::Whole(bytes) => {
                    let text = lines::mended_document(bytes);
                    match Node::parse(&text) {
                        Ok(node) => {
                            if conversation(&mut transcript, node, sink).is_break() {
                                transcript.report.stopped = true;
                                return Ok(transcript.finish(Cursor::default(), sink));
                            }
                        }
                        Err(error) => transcript.report.skip(number, format!("it does not parse: {error}")),
                    }
                }
                Element::TooLong => {
                    transcript.report.skip(number, format!("it is longer than {LINE_BYTES_MAX} bytes"));
                }
                Element::Partial(bytes) => {
                    transcript.report.skip(number, "the file ends within this conversation");
                    transcript.report.partial_bytes = bytes;
                    break;
                }
                Element::End => break,
            }
            transcript.report.lines += 1;
        }
        let whole = transcript.report.partial_bytes == 0;
        let cursor = Cursor { offset: if whole { length } else { 0 }, head, ..Cursor::default() };
        Ok(transcript.finish(cursor, sink))
    }
}

fn conversation(transcript: &mut Transcript, node: Node<'_>, sink: Sink<'_>) -> ControlFlow<()> {
    let fields = node.fields();
    let id = fields.first(&["conversation_id", "id"]).or_empty();
    let mapping = fields.get("mapping");
    if id.is_empty() || !mapping.is_object() {
        transcript.report.frames += 1;
        return ControlFlow::Continue(());
    }
    transcript.last_at = None;
    transcript.enter(&id);
    transcript.titled(&fields.text("title"), 2);
    let created = time(fields.get("create_time"));
    transcript.at(created);
    // Large conversations have more members than one look at an object gives.
    let nodes: FxHashMap<String, Node<'_>> = mapping.members().into_iter().map(|(k, v)| (k.into_owned(), v)).collect();
    for node in branch(&nodes, &fields.text("current_node")) {
        let message = node.get("message");
        if message.is_object() {
            say(transcript, &message.fields(), sink)?;
        }
    }
    ControlFlow::Continue(())
}

/// The nodes from the root to this one; without it, to the one that was said last.
fn branch<'a>(nodes: &FxHashMap<String, Node<'a>>, current: &str) -> Vec<Node<'a>> {
    let mut at = match nodes.contains_key(current) {
        true => current.to_owned(),
        false => {
            let said_at = |node: &Node<'a>| node.get("message").get("create_time").number().unwrap_or(0.0);
            let last = nodes.iter().max_by(|a, b| said_at(a.1).total_cmp(&said_at(b.1)).then_with(|| a.0.cmp(b.0)));
            last.map(|(id, _)| id.clone()).unwrap_or_default()
        }
    };
    let mut branch = Vec::new();
    while let Some(node) = nodes.get(&at) {
        branch.push(*node);
        if branch.len() >= nodes.len().min(BRANCH_MAX) {
            break;
        }
        at = node.get("parent").or_empty().into_owned();
    }
    branch.reverse();
    branch
}

fn say(transcript: &mut Transcript, message: &Fields<'_>, sink: Sink<'_>) -> ControlFlow<()> {
    transcript.at(time(message.get("create_time")));
    let author = message.get("author").fields();
    let content = message.get("content").fields();
    let kind = content.text("content_type");
    let id = message.text("id");
    let mut text = said(content.first(&["parts", "text", "result", "user_profile", "content"]));
    push_paragraph(&mut text, &content.text("user_instructions"));
    let key = transcript.key(&id, "", text.as_bytes());
    let hidden = message.get("metadata").get("is_visually_hidden_from_conversation").is_true();
    match author.text("role").as_ref() {
        "user" => transcript.say_turn(&key, &text, hidden || kind == "user_editable_context", sink),
        "assistant" => match kind.as_ref() {
            "thoughts" | "reasoning_recap" => {
                transcript.report.frames += 1;
                ControlFlow::Continue(())
            }
            _ => {
                let recipient = message.text("recipient");
                if matches!(recipient.as_ref(), "" | "all") {
                    return transcript.say_model(&key, Message::new(Role::Assistant, 0, text), sink);
                }
                let call = transcript.calling("", &recipient, &text);
                transcript.say_model(&key, call, sink)
            }
        },
        "tool" => {
            let failed = content.text("content_type") == "system_error";
            let ok = if failed { Some(false) } else { None };
            let answer = transcript.answer("", &author.text("name"), &text, ok);
            transcript.say_answer(&key, answer, sink)
        }
        _ => transcript.say_frame(&key, Role::System, &text, sink),
    }
}
