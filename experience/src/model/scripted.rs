//! A model that says what it was told to say: for tests, demos, and examples that run without a network.

use std::path::Path;

use harness_memory::memory::BoxFuture;

use super::{Ask, Model, ModelError, OnText, Reply, Said};

type Script = dyn Fn(&Ask<'_>) -> Reply + Send + Sync;

/// A scripted model. What it answers depends on the conversation alone, so that a resumed run goes on where it was.
pub struct Scripted {
    script: Box<Script>,
}

impl Scripted {
    /// Answers these replies in order, and an empty one after the last.
    pub fn replies(replies: Vec<Reply>) -> Scripted {
        Scripted::new(move |ask| {
            let place = ask.said.iter().filter(|said| matches!(said, Said::Assistant(_))).count();
            replies.get(place).cloned().unwrap_or_default()
        })
    }

    /// Answers what a function makes of the conversation.
    pub fn new(script: impl Fn(&Ask<'_>) -> Reply + Send + Sync + 'static) -> Scripted {
        Scripted { script: Box::new(script) }
    }

    /// Reads replies from a file, one JSON object a line: `{"text": …, "calls": [{"tool": …, "arguments": …}]}`.
    pub fn read(path: &Path) -> Result<Scripted, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let mut replies = Vec::new();
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            let reply = serde_json::from_str::<Reply>(line)
                .map_err(|error| format!("{}:{number} is no reply: {error}", path.display()))?;
            replies.push(reply);
        }
        Ok(Scripted::replies(replies))
    }
}

impl Model for Scripted {
    fn reply<'a>(&'a self, ask: Ask<'a>, on_text: OnText<'a>) -> BoxFuture<'a, Result<Reply, ModelError>> {
        let reply = (self.script)(&ask);
        if !reply.text.is_empty() {
            on_text(&reply.text);
        }
        Box::pin(std::future::ready(Ok(reply)))
    }
}
