//! What was heard from another agent so far.

use crate::event::What;
use crate::marked::Marked;

/// One thing that another agent says in a line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Heard {
    /// Text for the terminal.
    Text(String),
    /// Something for the recorder.
    Event(What),
}

/// What was heard so far, over all starts of one agent; what is marked, over all agents of the run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Transcript {
    /// The agent's own session.
    pub(crate) session: Option<String>,
    /// Its last words; what is said goes here through [`Transcript::say`].
    pub(crate) text: String,
    /// What was marked in all words before the last ones.
    pub(crate) marked: Marked,
    /// Its turns.
    pub(crate) turns: usize,
    /// Its turns before the program was started last.
    pub(crate) turns_before: usize,
    /// The id of the answer that it gave last, where it has one.
    pub(crate) answer: Option<String>,
    /// Tokens, where it says so.
    pub(crate) tokens: Option<u64>,
    /// US dollars, where it says so.
    pub(crate) cost_usd: Option<f64>,
    /// Whether it has used a tool.
    pub(crate) acted: bool,
    /// Whether something came after its last words that ends them: a tool that it used, or a new start.
    pub(crate) acting: bool,
    /// Whether it said that it came to its end.
    pub(crate) ended: bool,
    /// Whether it stopped at a limit of its own.
    pub(crate) limit: bool,
    /// What went wrong.
    pub(crate) error: Option<String>,
}

impl Transcript {
    /// The transcript of the next agent of the same run: of the one before, only what it marked stays.
    pub(crate) fn next_agent(mut self, session: Option<String>) -> Transcript {
        self.say("");
        Transcript { session, marked: self.marked, ..Transcript::default() }
    }

    /// New last words. The ones before are over, and what is marked in them is kept.
    pub(crate) fn say(&mut self, text: &str) {
        self.marked.gather(&self.text);
        text.clone_into(&mut self.text);
    }

    /// Whether what it says next goes on with its last words.
    pub(crate) fn speaking(&self) -> bool {
        !self.text.is_empty() && !self.acting
    }

    pub(crate) fn add_tokens(&mut self, tokens: u64) {
        if tokens > 0 {
            self.tokens = Some(self.tokens.unwrap_or(0).saturating_add(tokens));
        }
    }

    pub(crate) fn add_cost(&mut self, cost: f64) {
        self.cost_usd = Some(self.cost_usd.unwrap_or(0.0) + cost);
    }
}
