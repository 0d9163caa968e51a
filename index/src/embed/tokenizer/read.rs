//! Reading a `tokenizer.json`.

use super::Tokenizer;
use super::added::{Added, Token};
use super::charsmap::CharsMap;
use super::normalize::Normalizer;
use super::pieces::{Pieces, Unigram, WordPiece};
use super::split::{Prepend, Splitter};
use super::trie::Trie;
use crate::embed::{Error, Result};
use rustc_hash::FxHashMap;
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    post_processor: Value,
    model: Model,
}

#[derive(Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    #[serde(default)]
    normalized: bool,
}

/// The vocabulary keeps its own form: through `Value` a large one would take seconds.
#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    vocab: Vocabulary,
    unk_token: Option<String>,
    unk_id: Option<u32>,
    continuing_subword_prefix: Option<String>,
    max_input_chars_per_word: Option<usize>,
    #[serde(default)]
    byte_fallback: bool,
}

enum Vocabulary {
    Ids(Vec<(String, u32)>),
    Scores(Vec<(String, f64)>),
}

impl<'de> Deserialize<'de> for Vocabulary {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Vocabulary;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map from pieces to ids, or a list of pieces with scores")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut ids = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    ids.push(entry);
                }
                Ok(Vocabulary::Ids(ids))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut scores = Vec::new();
                while let Some(entry) = seq.next_element()? {
                    scores.push(entry);
                }
                Ok(Vocabulary::Scores(scores))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl Tokenizer {
    /// Reads the content of a `tokenizer.json`; `path` is for messages.
    pub(crate) fn read(path: &Path, json: &[u8]) -> Result<Self> {
        let file: File =
            serde_json::from_slice(json).map_err(|source| Error::Json { path: path.to_owned(), source })?;
        let reader = Reader { path };
        let normalizers = reader.normalizers(&file.normalizer)?;
        let splitters = reader.splitters(&file.pre_tokenizer)?;
        let mut by_name: FxHashMap<String, u32> = FxHashMap::default();
        let mut size = 0;
        for token in &file.added_tokens {
            by_name.insert(token.content.clone(), token.id);
            size = size.max(token.id.saturating_add(1));
        }
        let (pieces, unknown, vocabulary_size) = reader.pieces(file.model)?;
        size = size.max(vocabulary_size);
        let (before, after) = reader.template(&file.post_processor, &by_name)?;
        let (normalized, raw): (Vec<_>, Vec<_>) = file.added_tokens.into_iter().partition(|token| token.normalized);
        let token = |token: AddedToken, text: String| Token {
            text,
            id: token.id,
            single_word: token.single_word,
            strip_left: token.lstrip,
            strip_right: token.rstrip,
        };
        let raw = raw.into_iter().map(|added| {
            let text = added.content.clone();
            token(added, text)
        });
        let normalized = normalized.into_iter().map(|added| {
            let text = normalizers.iter().fold(added.content.clone(), |text, step| step.apply(&text));
            token(added, text)
        });
        Ok(Self {
            raw: Added::new(raw.collect()),
            normalized: Added::new(normalized.collect()),
            normalizers,
            splitters,
            pieces,
            before,
            after,
            unknown,
            size,
        })
    }
}

struct Reader<'a> {
    path: &'a Path,
}

impl Reader<'_> {
    fn malformed(&self, reason: impl Into<String>) -> Error {
        Error::malformed(self.path, reason)
    }

    fn unsupported(&self, what: impl Into<String>) -> Error {
        Error::unsupported(self.path, what)
    }

    fn normalizers(&self, value: &Value) -> Result<Vec<Normalizer>> {
        let flag = |name: &str, default| value[name].as_bool().unwrap_or(default);
        let one = match self.kind(value)? {
            None => return Ok(Vec::new()),
            Some("Sequence") => {
                let steps = value["normalizers"].as_array().map_or(&[][..], Vec::as_slice);
                let steps: Result<Vec<_>> = steps.iter().map(|step| self.normalizers(step)).collect();
                return Ok(steps?.into_iter().flatten().collect());
            }
            Some("BertNormalizer") => {
                let lowercase = flag("lowercase", true);
                Normalizer::Bert {
                    clean_text: flag("clean_text", true),
                    space_ideographs: flag("handle_chinese_chars", true),
                    strip_accents: flag("strip_accents", lowercase),
                    lowercase,
                }
            }
            Some("Precompiled") => match value["precompiled_charsmap"].as_str() {
                // An empty table replaces nothing.
                None | Some("") => return Ok(Vec::new()),
                Some(map) => Normalizer::CharsMap(CharsMap::parse(map).map_err(|reason| self.malformed(reason))?),
            },
            Some("NFC") => Normalizer::Nfc,
            Some("NFD") => Normalizer::Nfd,
            Some("NFKC") => Normalizer::Nfkc,
            Some("NFKD") => Normalizer::Nfkd,
            Some("Lowercase") => Normalizer::Lowercase,
            Some("StripAccents") => Normalizer::StripAccents,
            Some("Strip") => Normalizer::Strip { left: flag("strip_left", true), right: flag("strip_right", true) },
            Some("Prepend") => Normalizer::Prepend(self.text(value, "prepend")?.to_owned()),
            Some("Replace") => {
                let to = self.text(value, "content")?.to_owned();
                let pattern = &value["pattern"];
                match (pattern["String"].as_str(), pattern["Regex"].as_str()) {
                    (Some(from), _) => Normalizer::Replace(from.to_owned(), to),
                    // The only expressions that these models' tokenizers hold.
                    (_, Some(" {2,}")) => Normalizer::ReplaceSpaces(2, to),
                    (_, Some(" +")) => Normalizer::ReplaceSpaces(1, to),
                    _ => return Err(self.unsupported(format!("the replacement of {pattern}"))),
                }
            }
            Some(other) => return Err(self.unsupported(format!("the normalizer {other}"))),
        };
        Ok(vec![one])
    }

    fn splitters(&self, value: &Value) -> Result<Vec<Splitter>> {
        let one = match self.kind(value)? {
            None => return Ok(Vec::new()),
            Some("Sequence") => {
                let steps = value["pretokenizers"].as_array().map_or(&[][..], Vec::as_slice);
                let steps: Result<Vec<_>> = steps.iter().map(|step| self.splitters(step)).collect();
                return Ok(steps?.into_iter().flatten().collect());
            }
            Some("BertPreTokenizer") => Splitter::Bert,
            Some("WhitespaceSplit") => Splitter::WhiteSpace,
            Some("Metaspace") => {
                let prepend = match (value["add_prefix_space"].as_bool(), value["prepend_scheme"].as_str()) {
                    (Some(false), _) | (_, Some("never")) => Prepend::Never,
                    (_, Some("first")) => Prepend::First,
                    (_, None | Some("always")) => Prepend::Always,
                    (_, Some(other)) => return Err(self.unsupported(format!("prepend_scheme {other}"))),
                };
                let mark = self.text(value, "replacement")?.chars().next();
                Splitter::Metaspace {
                    mark: mark.ok_or_else(|| self.malformed("Metaspace with an empty replacement"))?,
                    prepend,
                    split: value["split"].as_bool().unwrap_or(true),
                }
            }
            Some(other) => return Err(self.unsupported(format!("the pre-tokenizer {other}"))),
        };
        Ok(vec![one])
    }

    /// The vocabulary, its identifier for the unknown, and one more than its highest identifier.
    fn pieces(&self, model: Model) -> Result<(Pieces, u32, u32)> {
        match (model.kind.as_deref(), model.vocab) {
            (None | Some("WordPiece"), Vocabulary::Ids(ids)) => {
                let mark = model.continuing_subword_prefix.as_deref().unwrap_or("##");
                let name = model.unk_token.as_deref().unwrap_or("[UNK]");
                let unknown = ids.iter().find(|(piece, _)| piece == name).map(|(_, id)| *id);
                let unknown = unknown.ok_or_else(|| self.malformed(format!("no {name} in the vocabulary")))?;
                let size = self.size(ids.iter().map(|(_, id)| *id).max())?;
                let continuing = ids.iter().filter_map(|(piece, id)| Some((piece.strip_prefix(mark)?.as_bytes(), *id)));
                let pieces = WordPiece {
                    initial: Trie::new(ids.iter().map(|(piece, id)| (piece.as_bytes(), *id))),
                    continuing: Trie::new(continuing),
                    unknown,
                    word_chars_max: model.max_input_chars_per_word.unwrap_or(100),
                };
                Ok((Pieces::WordPiece(pieces), unknown, size))
            }
            (None | Some("Unigram"), Vocabulary::Scores(scores)) => {
                if model.byte_fallback {
                    return Err(self.unsupported("byte fallback in a unigram vocabulary"));
                }
                let size = self.size((scores.len() as u64).checked_sub(1).and_then(|last| last.try_into().ok()))?;
                let unknown = model.unk_id.filter(|&id| id < size);
                let unknown = unknown.ok_or_else(|| self.malformed("no unk_id in the vocabulary"))?;
                if scores.iter().any(|(_, score)| !score.is_finite()) {
                    return Err(self.malformed("a piece's score is not a number"));
                }
                let trie = Trie::new((0..).zip(&scores).map(|(id, (piece, _))| (piece.as_bytes(), id)));
                let scores = scores.into_iter().map(|(_, score)| score).collect();
                Ok((Pieces::Unigram(Unigram::new(trie, scores, unknown)), unknown, size))
            }
            (kind, _) => {
                let kind = kind.unwrap_or("without a type");
                Err(self.unsupported(format!("the vocabulary {kind}")))
            }
        }
    }

    /// One more than the highest identifier; an empty vocabulary is an error.
    fn size(&self, highest: Option<u32>) -> Result<u32> {
        highest
            .and_then(|highest| highest.checked_add(1))
            .ok_or_else(|| self.malformed("the vocabulary is empty or too large"))
    }

    /// Special tokens before and after a text.
    fn template(&self, value: &Value, by_name: &FxHashMap<String, u32>) -> Result<(Vec<u32>, Vec<u32>)> {
        match self.kind(value)? {
            None => Ok((Vec::new(), Vec::new())),
            Some("BertProcessing" | "RobertaProcessing") => {
                let id = |name: &str| {
                    let id = value[name][1].as_u64().and_then(|id| id.try_into().ok());
                    id.ok_or_else(|| self.malformed(format!("no id for {name} in the post-processor")))
                };
                Ok((vec![id("cls")?], vec![id("sep")?]))
            }
            Some("TemplateProcessing") => {
                let (mut before, mut after) = (Vec::new(), Vec::new());
                let mut passed = false;
                for part in value["single"].as_array().map_or(&[][..], Vec::as_slice) {
                    if part.get("Sequence").is_some() {
                        passed = true;
                        continue;
                    }
                    let name = part["SpecialToken"]["id"].as_str();
                    let name = name.ok_or_else(|| self.malformed("a template part without a name"))?;
                    let ids = value["special_tokens"][name]["ids"].as_array();
                    let ids: Option<Vec<u32>> = match ids {
                        Some(ids) => ids.iter().map(|id| id.as_u64().and_then(|id| id.try_into().ok())).collect(),
                        None => by_name.get(name).map(|&id| vec![id]),
                    };
                    let ids = ids.ok_or_else(|| self.malformed(format!("no id for {name}")))?;
                    if passed { after.extend(ids) } else { before.extend(ids) }
                }
                if !passed {
                    return Err(self.malformed("a template without the text"));
                }
                Ok((before, after))
            }
            Some(other) => Err(self.unsupported(format!("the post-processor {other}"))),
        }
    }

    /// The `type` of a part of the file; nothing for an absent part.
    fn kind<'a>(&self, value: &'a Value) -> Result<Option<&'a str>> {
        if value.is_null() {
            return Ok(None);
        }
        let kind = value["type"].as_str();
        kind.map(Some).ok_or_else(|| self.malformed("a part of the tokenizer without a type"))
    }

    fn text<'a>(&self, value: &'a Value, name: &str) -> Result<&'a str> {
        value[name].as_str().ok_or_else(|| self.malformed(format!("no {name} in {}", value["type"])))
    }
}
