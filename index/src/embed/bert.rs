//! Sentence models of the BERT family: BERT, RoBERTa and XLM-R encoders with mean or CLS pooling.
//!
//! Devlin et al., "BERT" (2019); Reimers and Gurevych, "Sentence-BERT" (2019); Conneau et al.,
//! "Unsupervised Cross-lingual Representation Learning at Scale" (2020).
//!
//! This module cuts texts into tokens and tokens into batches; [`super::network`] does the rest.

use super::config::{Options, Pooling, Profile};
use super::network::{Network, Scratch};
use super::source::{self, ModelFiles};
use super::tokenizer::Tokenizer;
use super::weights::Weights;
use super::{Embedder, Error, KNOWN_MODELS, Languages, Purpose, Result};
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Tokens that go through the layers together, but for a single longer text: enough that reading the
/// weights is shared, few enough that what lies between two layers stays in a core's cache.
const BATCH_TOKENS_MAX: usize = 256;

/// A sentence model that computes here, without any other library.
///
/// Holds the layers in memory (43 MB for all-MiniLM-L6-v2); rows of the token table are read from the
/// file when they are wanted. Threads are started for one call and end with it.
pub struct BertEmbedder {
    id: String,
    profile: Profile,
    threads: NonZeroUsize,
    tokenizer: Tokenizer,
    network: Network,
    /// Working memory of finished calls, for the next ones.
    spare: Mutex<Vec<Scratch>>,
}

impl BertEmbedder {
    /// Loads a model.
    ///
    /// The weights' SHA-256 is compared with the manifest of an installed model, and known weights
    /// must come with the tokenizer that belongs to them.
    ///
    /// # Errors
    /// Typed, with the path and the reason: for files that are missing, damaged, changed since they
    /// were installed, or that describe a network which is not computed here.
    pub fn open(files: &ModelFiles, options: &Options) -> Result<Self> {
        let sha256 = files.sha256(source::WEIGHTS)?;
        if let Some(known) = KNOWN_MODELS.iter().find(|known| known.pinned[0].1 == sha256) {
            for (name, expected) in known.pinned {
                let found = files.sha256(name)?;
                if found != *expected {
                    let expected = (*expected).to_owned();
                    return Err(Error::Checksum { path: files.path(name), expected, found });
                }
            }
        }
        let profile = Profile::read(files, &sha256, options)?;
        let json = files
            .read(source::TOKENIZER)?
            .ok_or_else(|| Error::Missing { path: files.origin().to_owned(), file: source::TOKENIZER.to_owned() })?;
        let path = files.path(source::TOKENIZER);
        let tokenizer = Tokenizer::read(&path, &json)?;
        drop(json);
        if tokenizer.size() as usize > profile.shape.tokens {
            let reason = format!("token {} for a model of {} tokens", tokenizer.size() - 1, profile.shape.tokens);
            return Err(Error::malformed(&path, reason));
        }
        let network = Network::load(Weights::open(files.weights()?)?, &profile.shape)?;
        let id = profile.id(&sha256);
        let spare = Mutex::new(Vec::new());
        Ok(Self { id, profile, threads: options.threads, tokenizer, network, spare })
    }

    /// The model's name, as it is in the id.
    pub fn name(&self) -> &str {
        &self.profile.name
    }

    /// The vocabulary's identifiers for a text with its prefix, special tokens included, as they are
    /// embedded.
    pub fn token_ids(&self, purpose: Purpose, text: &str) -> Vec<u32> {
        self.encode(purpose, text)
    }

    fn encode(&self, purpose: Purpose, text: &str) -> Vec<u32> {
        let prefix = match purpose {
            Purpose::Query => &self.profile.query_prefix,
            Purpose::Passage => &self.profile.passage_prefix,
        };
        if prefix.is_empty() {
            return self.tokenizer.encode(text, self.profile.tokens_max).ids;
        }
        self.tokenizer.encode(&format!("{prefix}{text}"), self.profile.tokens_max).ids
    }

    /// Embeds one batch; `texts` are places in `tokens`.
    fn embed_batch(&self, tokens: &[Vec<u32>], texts: &[usize], scratch: &mut Scratch) -> Result<Vec<Vec<f32>>> {
        let rows: Vec<&[u32]> = texts.iter().map(|&text| tokens[text].as_slice()).collect();
        self.network.run(&rows, scratch)?;
        let width = self.profile.shape.width;
        let mut at = 0;
        let mut vectors = Vec::with_capacity(texts.len());
        for row in rows {
            let states = &scratch.states()[at * width..][..row.len() * width];
            let mut vector = vec![0.0; width];
            match self.profile.pooling {
                Pooling::Cls => vector.copy_from_slice(&states[..width]),
                // The sum points where the mean points.
                Pooling::Mean => {
                    for state in states.chunks_exact(width) {
                        for (sum, x) in vector.iter_mut().zip(state) {
                            *sum += x;
                        }
                    }
                }
            }
            vectors.push(vector);
            at += row.len();
        }
        Ok(vectors)
    }
}

impl Embedder for BertEmbedder {
    fn id(&self) -> &str {
        &self.id
    }

    fn dimensions(&self) -> usize {
        self.profile.shape.width
    }

    fn languages(&self) -> &Languages {
        &self.profile.languages
    }

    fn tokens_max(&self) -> usize {
        self.profile.tokens_max
    }

    fn embed(&self, purpose: Purpose, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let tokens: Vec<Vec<u32>> = texts.iter().map(|text| self.encode(purpose, text)).collect();
        let batches = batches(&tokens);
        let next = AtomicUsize::new(0);
        // Takes batches until there are none left; what is left of the others after an error is moot.
        let work = || -> Result<Vec<(usize, Vec<f32>)>> {
            let mut scratch = lock(&self.spare).pop().unwrap_or_else(|| Scratch::new(&self.network));
            let mut done = Vec::new();
            while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                let vectors = self.embed_batch(&tokens, batch, &mut scratch)?;
                done.extend(batch.iter().copied().zip(vectors));
            }
            lock(&self.spare).push(scratch);
            Ok(done)
        };
        let threads = self.threads.get().min(batches.len());
        let results: Vec<_> = std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut results = vec![work()];
            for other in others {
                match other.join() {
                    Ok(result) => results.push(result),
                    // A bug of ours; it goes on in the caller's thread as it would with one thread.
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            results
        });
        let mut vectors = vec![Vec::new(); texts.len()];
        for result in results {
            for (text, mut vector) in result? {
                if !super::normalize(&mut vector) {
                    let bytes = texts[text].len();
                    return Err(Error::NoVector { model: self.id.clone(), bytes });
                }
                vectors[text] = vector;
            }
        }
        Ok(vectors)
    }

    fn unknown_share(&self, text: &str) -> f32 {
        self.tokenizer.encode(text, usize::MAX).unknown_share()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Spare working memory is whole at every moment, whoever panicked.
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The places of all texts, longest first, in batches of at most [`BATCH_TOKENS_MAX`] tokens.
fn batches(tokens: &[Vec<u32>]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..tokens.len()).collect();
    order.sort_by_key(|&text| std::cmp::Reverse(tokens[text].len()));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut room = 0;
    for text in order {
        let length = tokens[text].len();
        match batches.last_mut() {
            Some(batch) if length <= room => batch.push(text),
            _ => {
                batches.push(vec![text]);
                room = BATCH_TOKENS_MAX;
            }
        }
        room = room.saturating_sub(length);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::tiny::{self, Tiny};
    use crate::embed::{contract, source::ModelFiles};

    fn open(folder: &std::path::Path, options: &Options) -> Result<BertEmbedder> {
        BertEmbedder::open(&ModelFiles::open(&[folder])?, options)
    }

    /// Texts of one to more than the most tokens.
    fn texts() -> Vec<String> {
        let words = ["the", "disk", "is", "full", ".", "undeployable", "学习", "abc", "12", "ﬁ", "E\u{301}x"];
        (0..90).map(|n| (0..n).map(|i| words[(i * i + n) % words.len()]).collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn a_random_bert_agrees_with_its_naive_twin_in_any_batch_and_on_any_number_of_threads() {
        let folder = tempfile::tempdir().unwrap();
        let model = Tiny::new(1);
        model.write(folder.path());
        let texts = texts();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        for threads in [1, 3] {
            let threads = NonZeroUsize::new(threads).unwrap();
            let embedder = open(folder.path(), &Options { threads, ..Options::default() }).unwrap();
            let vectors = embedder.embed(Purpose::Passage, &texts).unwrap();
            for (text, vector) in texts.iter().zip(&vectors) {
                let ids = embedder.encode(Purpose::Passage, text);
                assert!(ids.len() <= tiny::POSITIONS);
                assert_eq!((ids[0], ids[ids.len() - 1]), (2, 3), "special tokens stay");
                let naive = model.naive(&ids);
                let cosine: f64 = naive.iter().zip(vector).map(|(x, &y)| x * f64::from(y)).sum();
                assert!(cosine > 0.999_999, "{cosine} for {} tokens", ids.len());
            }
        }
    }

    #[test]
    fn keeps_the_contract() {
        let folder = tempfile::tempdir().unwrap();
        Tiny::new(2).write(folder.path());
        let threads = NonZeroUsize::new(2).unwrap();
        contract::check(&open(folder.path(), &Options { threads, ..Options::default() }).unwrap());
    }

    #[test]
    fn the_id_names_everything_that_shapes_the_vectors() {
        let folder = tempfile::tempdir().unwrap();
        Tiny::new(1).write(folder.path());
        let id = |options: &Options| open(folder.path(), options).unwrap().id().to_owned();
        let plain = id(&Options::default());
        assert!(plain.starts_with("tiny-bert ") && plain.contains(" mean "), "{plain}");
        let others = [
            Options { pooling: Some(Pooling::Cls), ..Options::default() },
            Options { query_prefix: Some("query: ".into()), ..Options::default() },
            Options { passage_prefix: Some("passage: ".into()), ..Options::default() },
            Options { tokens_max: Some(32), ..Options::default() },
        ];
        for other in &others {
            assert_ne!(id(other), plain);
        }
        Tiny::new(2).write(folder.path());
        assert_ne!(id(&Options::default()), plain, "other weights");
    }

    #[test]
    fn prefixes_are_part_of_the_text_and_pooling_is_obeyed() {
        let folder = tempfile::tempdir().unwrap();
        let model = Tiny::new(3);
        model.write(folder.path());
        let options = Options { query_prefix: Some("the disk ".into()), ..Options::default() };
        let embedder = open(folder.path(), &options).unwrap();
        let query = embedder.embed(Purpose::Query, &["is full"]).unwrap();
        let passage = embedder.embed(Purpose::Passage, &["the disk is full"]).unwrap();
        assert_eq!(query, passage);
        std::fs::create_dir(folder.path().join("1_Pooling")).unwrap();
        let pooling = r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}"#;
        std::fs::write(folder.path().join("1_Pooling/config.json"), pooling).unwrap();
        let embedder = open(folder.path(), &Options::default()).unwrap();
        assert!(embedder.id().contains(" cls "));
        assert_ne!(embedder.embed(Purpose::Passage, &["the disk is full"]).unwrap(), passage);
    }

    #[test]
    fn unknown_tokens_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        Tiny::new(1).write(folder.path());
        let embedder = open(folder.path(), &Options::default()).unwrap();
        assert_eq!(embedder.unknown_share("the disk"), 0.0);
        assert_eq!(embedder.unknown_share("the zebra"), 0.5);
        assert_eq!(embedder.unknown_share("记忆"), 1.0);
        assert_eq!(embedder.unknown_share(" \n"), 0.0);
    }

    #[test]
    fn a_damaged_or_foreign_model_is_refused_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let model = Tiny::new(1);
        let weights = model.safetensors();
        let write = |name: &str, content: &[u8]| std::fs::write(folder.path().join(name), content).unwrap();
        let fails = |what: &str| match open(folder.path(), &Options::default()) {
            Ok(_) => panic!("{what} was accepted"),
            Err(error) => {
                let path = folder.path().display().to_string();
                assert!(error.to_string().contains(&path), "{what}: {error}");
                error
            }
        };
        fails("an empty folder");
        model.write(folder.path());
        for length in (0..weights.len()).step_by(weights.len() / 60) {
            write(source::WEIGHTS, &weights[..length]);
            fails("a model cut short");
        }
        write(source::WEIGHTS, &weights);
        for (name, value) in [
            ("hidden_size", serde_json::json!(32)),
            ("hidden_size", serde_json::json!(1u64 << 40)),
            ("num_attention_heads", serde_json::json!(0)),
            ("num_attention_heads", serde_json::json!(5)),
            ("num_hidden_layers", serde_json::json!(3)),
            ("max_position_embeddings", serde_json::json!(1)),
            ("vocab_size", serde_json::json!(10)),
            ("model_type", serde_json::json!("gpt2")),
            ("hidden_act", serde_json::json!("mish")),
            ("position_embedding_type", serde_json::json!("relative_key")),
        ] {
            let mut config = tiny::config();
            config[name] = value;
            write(source::CONFIG, config.to_string().as_bytes());
            fails(name);
        }
        write(source::CONFIG, tiny::config().to_string().as_bytes());
        for part in ["normalizer", "pre_tokenizer", "post_processor"] {
            let mut tokenizer = tiny::tokenizer();
            tokenizer[part] = serde_json::json!({"type": "ByteLevel"});
            write(source::TOKENIZER, tokenizer.to_string().as_bytes());
            assert!(matches!(fails(part), Error::Unsupported { .. }));
        }
        let mut tokenizer = tiny::tokenizer();
        tokenizer["model"]["vocab"]["far"] = serde_json::json!(1000);
        write(source::TOKENIZER, tokenizer.to_string().as_bytes());
        fails("a token beyond the table");
        write(source::TOKENIZER, tiny::tokenizer().to_string().as_bytes());
        let modules = r#"[{"type": "sentence_transformers.models.Dense"}]"#;
        write("modules.json", modules.as_bytes());
        assert!(matches!(fails("a dense layer on top"), Error::Unsupported { .. }));
    }

    #[test]
    fn no_flipped_bit_makes_a_panic() {
        let folder = tempfile::tempdir().unwrap();
        let model = Tiny::new(1);
        model.write(folder.path());
        let tokenizer = tiny::tokenizer().to_string().into_bytes();
        for (name, whole) in [(source::WEIGHTS, model.safetensors()), (source::TOKENIZER, tokenizer)] {
            let header = whole.len().min(4000);
            for at in (0..header).step_by(7) {
                let mut damaged = whole.clone();
                damaged[at] ^= 1 << (at % 8);
                std::fs::write(folder.path().join(name), damaged).unwrap();
                if let Ok(embedder) = open(folder.path(), &Options::default()) {
                    let vectors = embedder.embed(Purpose::Query, &["the disk 学习 x"]);
                    assert!(vectors.is_err() || vectors.is_ok_and(|vectors| vectors.len() == 1));
                }
            }
            std::fs::write(folder.path().join(name), whole).unwrap();
        }
    }

    #[test]
    fn a_model_cut_short_while_it_is_in_use_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        Tiny::new(1).write(folder.path());
        let embedder = open(folder.path(), &Options::default()).unwrap();
        let path = folder.path().join(source::WEIGHTS);
        std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(100).unwrap();
        assert!(matches!(embedder.embed(Purpose::Query, &["the disk"]), Err(Error::Io { .. })));
    }
}
