//! From text to the identifiers that a model was trained on.
//!
//! Reads a `tokenizer.json` and does what it says for the parts that BERT-family sentence models
//! use: BERT's and SentencePiece's normalisation, WordPiece and unigram vocabularies, added tokens,
//! and the special tokens around a text. Anything else in the file is an error, never a guess.

mod added;
mod charsmap;
mod normalize;
mod pieces;
mod read;
mod split;
mod trie;

use added::Added;
use normalize::Normalizer;
use pieces::Pieces;
use split::Splitter;
use std::ops::ControlFlow;

/// Bytes of one text that are looked at: 512 tokens of any language fit many times over, and nothing
/// that somebody pastes can hold an embedder up for long.
pub(crate) const TEXT_BYTES_MAX: usize = 1 << 20;

/// Turns texts into a model's identifiers.
pub(crate) struct Tokenizer {
    normalizers: Vec<Normalizer>,
    splitters: Vec<Splitter>,
    pieces: Pieces,
    /// Added tokens that are looked for in the text as it came.
    raw: Added,
    /// Added tokens that are looked for after normalisation.
    normalized: Added,
    /// Special tokens before and after a text.
    before: Vec<u32>,
    after: Vec<u32>,
    unknown: u32,
    /// One more than the highest identifier.
    size: u32,
}

/// A text as identifiers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tokens {
    /// Special tokens included.
    pub(crate) ids: Vec<u32>,
    /// Parts of the text that the vocabulary does not know.
    pub(crate) unknown: usize,
    /// Parts of the text that it knows.
    pub(crate) known: usize,
}

impl Tokens {
    /// The share of parts that the vocabulary does not know; 0 for a text without parts.
    pub(crate) fn unknown_share(&self) -> f32 {
        match self.unknown {
            0 => 0.0,
            unknown => unknown as f32 / (self.known + unknown) as f32,
        }
    }
}

impl Tokenizer {
    /// The identifiers of `text`, cut after `tokens_max` of them, special tokens kept and counted.
    pub(crate) fn encode(&self, text: &str, tokens_max: usize) -> Tokens {
        let room = tokens_max.saturating_sub(self.before.len() + self.after.len());
        let mut tokens = Tokens { ids: self.before.clone(), ..Tokens::default() };
        let full = tokens.ids.len() + room;
        // Broken off when there are enough tokens; then the flow says so, and nobody asks.
        let _ = self.append(&text[..text.floor_char_boundary(TEXT_BYTES_MAX)], full, &mut tokens);
        tokens.ids.truncate(full);
        tokens.ids.extend(&self.after);
        tokens
    }

    /// One more than the highest identifier that can come out.
    pub(crate) fn size(&self) -> u32 {
        self.size
    }

    fn append(&self, text: &str, full: usize, tokens: &mut Tokens) -> ControlFlow<()> {
        self.raw.split(text, &mut |part, added, at| {
            if let Some(id) = added {
                return self.push(id, full, tokens);
            }
            let mut normal = std::borrow::Cow::Borrowed(part);
            for normalizer in &self.normalizers {
                normal = normalizer.apply(&normal).into();
            }
            self.normalized.split(&normal, &mut |part, added, within| {
                if let Some(id) = added {
                    return self.push(id, full, tokens);
                }
                split::split(&self.splitters, part, at == 0 && within == 0, &mut |word| {
                    let before = tokens.ids.len();
                    let unknown = self.pieces.append(word, &mut tokens.ids);
                    let new = &tokens.ids[before..];
                    tokens.known += new.iter().filter(|&&id| id != self.unknown).count();
                    tokens.unknown += unknown;
                    flow(tokens.ids.len() < full)
                })
            })
        })
    }

    fn push(&self, id: u32, full: usize, tokens: &mut Tokens) -> ControlFlow<()> {
        tokens.ids.push(id);
        if id == self.unknown {
            tokens.unknown += 1;
        } else {
            tokens.known += 1;
        }
        flow(tokens.ids.len() < full)
    }
}

fn flow(more: bool) -> ControlFlow<()> {
    if more { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}
