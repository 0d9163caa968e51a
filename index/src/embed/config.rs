//! What a model's small files say about it: the network's shape, pooling, prefixes, limits.

use super::math::Activation;
use super::source::{self, ModelFiles};
use super::{Error, Languages, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::num::NonZeroUsize;

/// How token vectors become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The mean over all tokens.
    Mean,
    /// The first token's.
    Cls,
}

/// What a caller may decide about a model; the default takes everything from the model's files.
#[derive(Clone, Debug)]
pub struct Options {
    /// Worker threads of one call of `embed`; one by default.
    pub threads: NonZeroUsize,
    /// The name in the embedder's id, instead of the one found with the files.
    pub name: Option<String>,
    /// Instead of what `1_Pooling/config.json` says.
    pub pooling: Option<Pooling>,
    /// Put before a query, instead of the model's own.
    pub query_prefix: Option<String>,
    /// Put before a passage, instead of the model's own.
    pub passage_prefix: Option<String>,
    /// Instead of what is known about the model.
    pub languages: Option<Languages>,
    /// Tokens of a text, at most as many as the model has positions for.
    pub tokens_max: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            threads: NonZeroUsize::MIN,
            name: None,
            pooling: None,
            query_prefix: None,
            passage_prefix: None,
            languages: None,
            tokens_max: None,
        }
    }
}

/// A model that is known here, byte for byte.
#[derive(Clone, Copy, Debug)]
pub struct KnownModel {
    /// Its name.
    pub name: &'static str,
    /// Its licence, as an SPDX expression.
    pub licence: &'static str,
    /// SHA-256 in hex by file name.
    pub pinned: &'static [(&'static str, &'static str)],
}

/// The models whose files are pinned: weights with one of these sums must come with the others.
///
/// The first was summed from the file itself. The others' sums are what public programs state that pin the same files of
/// the model hub, each found in at least two of them (which may have copied it from each other): multilingual-e5-small at
/// revision 614241f622f5, paraphrase-multilingual-MiniLM-L12-v2 at e8f8c211226b, bge-small-en-v1.5 at 5c38ec7c405e. The
/// hub's own sum is verified too, for every file that it states one of; so a sum here can refuse a file, never let one
/// through.
pub const KNOWN_MODELS: &[KnownModel] = &[
    KnownModel {
        name: "all-MiniLM-L6-v2",
        licence: "Apache-2.0",
        pinned: &[
            (source::WEIGHTS, "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
            (source::TOKENIZER, "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
        ],
    },
    KnownModel {
        name: "multilingual-e5-small",
        licence: "MIT",
        pinned: &[
            (source::WEIGHTS, "1a55775f53449dac10a2bcbc312469fac40b96d53198c407081a831f81c98477"),
            (source::TOKENIZER, "0b44a9d7b51c3c62626640cda0e2c2f70fdacdc25bbbd68038369d14ebdf4c39"),
        ],
    },
    KnownModel {
        name: "paraphrase-multilingual-MiniLM-L12-v2",
        licence: "Apache-2.0",
        pinned: &[
            (source::WEIGHTS, "eaa086f0ffee582aeb45b36e34cdd1fe2d6de2bef61f8a559a1bbc9bd955917b"),
            (source::TOKENIZER, "2c3387be76557bd40970cec13153b3bbf80407865484b209e655e5e4729076b8"),
        ],
    },
    KnownModel {
        name: "bge-small-en-v1.5",
        licence: "MIT",
        pinned: &[
            (source::WEIGHTS, "3c9f31665447c8911517620762200d2245a2518d6e7208acc78cd9db317e21ad"),
            (source::TOKENIZER, "d241a60d5e8f04cc1b2b3e9ef7a4921b27bf526d9f6050ab90f9267a1f9e5c66"),
        ],
    },
];

/// What is known about families of models, for files that do not say it themselves. The first entry
/// whose words all occur in the lower-case name counts.
struct Family {
    words: &'static [&'static str],
    pooling: Pooling,
    query: &'static str,
    passage: &'static str,
    languages: fn() -> Languages,
}

const SEARCH: &str = "Represent this sentence for searching relevant passages: ";
const SEARCH_ZH: &str = "为这个句子生成表示以用于检索相关文章：";

const FAMILIES: &[Family] = &[
    family(&["multilingual-e5"], Pooling::Mean, "query: ", "passage: ", Languages::multilingual),
    family(&["e5-"], Pooling::Mean, "query: ", "passage: ", Languages::english),
    family(&["bge-m3"], Pooling::Cls, "", "", Languages::multilingual),
    family(&["bge-", "-zh"], Pooling::Cls, SEARCH_ZH, "", Languages::chinese),
    family(&["bge-"], Pooling::Cls, SEARCH, "", Languages::english),
    family(&["arctic-embed", "v2"], Pooling::Cls, "query: ", "", Languages::multilingual),
    family(&["arctic-embed"], Pooling::Cls, SEARCH, "", Languages::english),
    family(&["gte-", "-zh"], Pooling::Cls, "", "", Languages::chinese),
    family(&["gte-multilingual"], Pooling::Cls, "", "", Languages::multilingual),
    family(&["gte-"], Pooling::Mean, "", "", Languages::english),
    family(&["multilingual"], Pooling::Mean, "", "", Languages::multilingual),
    family(&["minilm"], Pooling::Mean, "", "", Languages::english),
];

const fn family(
    words: &'static [&'static str],
    pooling: Pooling,
    query: &'static str,
    passage: &'static str,
    languages: fn() -> Languages,
) -> Family {
    Family { words, pooling, query, passage, languages }
}

/// The network's shape, checked.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) width: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) inner: usize,
    pub(crate) tokens: usize,
    /// Rows of the table of positions.
    pub(crate) positions: usize,
    /// Position of the first token.
    pub(crate) first_position: usize,
    /// The token whose position is always `first_position - 1`, where there is an offset.
    pub(crate) pad: u32,
    pub(crate) types: usize,
    pub(crate) activation: Activation,
    pub(crate) epsilon: f32,
}

/// Everything but the numbers.
pub(crate) struct Profile {
    pub(crate) name: String,
    pub(crate) shape: Shape,
    pub(crate) pooling: Pooling,
    pub(crate) query_prefix: String,
    pub(crate) passage_prefix: String,
    pub(crate) languages: Languages,
    pub(crate) tokens_max: usize,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    model_type: String,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    vocab_size: usize,
    max_position_embeddings: usize,
    #[serde(default)]
    type_vocab_size: usize,
    #[serde(default = "default_epsilon")]
    layer_norm_eps: f64,
    #[serde(default = "default_activation")]
    hidden_act: String,
    #[serde(default)]
    pad_token_id: Option<u32>,
    position_embedding_type: Option<String>,
    #[serde(default)]
    is_decoder: bool,
    #[serde(rename = "_name_or_path", default)]
    name: String,
}

fn default_epsilon() -> f64 {
    1e-12
}

fn default_activation() -> String {
    "gelu".to_owned()
}

/// Layers, heads, width and so on of the largest networks of this family (XLM-R XXL has 48 layers of
/// 4096); more than that in a file is damage, and must not become an allocation.
const SIDE_MAX: usize = 1 << 15;
/// The largest vocabulary in use has 250,000 pieces.
const TOKENS_MAX: usize = 1 << 21;

impl Profile {
    pub(crate) fn read(files: &ModelFiles, weights_sha256: &str, options: &Options) -> Result<Self> {
        let config: Config = json(files, source::CONFIG)?
            .ok_or_else(|| Error::Missing { path: files.origin().to_owned(), file: source::CONFIG.to_owned() })?;
        let shape = Shape::of(files, &config)?;
        check_modules(files)?;
        let known = KNOWN_MODELS.iter().find(|known| known.pinned[0].1 == weights_sha256);
        let name = options
            .name
            .clone()
            .or_else(|| known.map(|known| known.name.to_owned()))
            .or_else(|| files.manifest().map(|manifest| manifest.name.clone()))
            .or_else(|| config.name.rsplit('/').find(|part| !part.is_empty()).map(str::to_owned))
            .or_else(|| files.origin().file_name().map(|name| name.to_string_lossy().into_owned()))
            .unwrap_or_else(|| "unnamed".to_owned());
        let lower = name.to_lowercase();
        let family = FAMILIES.iter().find(|family| family.words.iter().all(|word| lower.contains(word)));
        let pooling = match options.pooling {
            Some(pooling) => pooling,
            None => pooling(files)?.or(family.map(|family| family.pooling)).unwrap_or(Pooling::Mean),
        };
        let prompts = prompts(files)?;
        let prefix = |given: &Option<String>, names: &[&str], own: fn(&Family) -> &'static str| {
            let found = || names.iter().find_map(|name| prompts[name].as_str().map(str::to_owned));
            given.clone().or_else(found).or(family.map(|family| own(family).to_owned())).unwrap_or_default()
        };
        let query_prefix = prefix(&options.query_prefix, &["query"], |family| family.query);
        let passage_prefix = prefix(&options.passage_prefix, &["passage", "document"], |family| family.passage);
        let languages = options.languages.clone();
        let languages = languages.or(family.map(|family| (family.languages)()));
        // The limit in `sentence_bert_config.json` is what the authors tried; what lies behind it
        // would be lost to search altogether, so a text is taken in as far as there are positions.
        let room = shape.positions - shape.first_position;
        let tokens_max = options.tokens_max.unwrap_or(room).min(room);
        Ok(Self {
            name,
            shape,
            pooling,
            query_prefix,
            passage_prefix,
            languages: languages.unwrap_or_else(Languages::english),
            tokens_max,
        })
    }
}

impl Profile {
    /// The embedder's id, for weights with this sum.
    pub(crate) fn id(&self, weights: &str) -> String {
        let pooling = match self.pooling {
            Pooling::Mean => "mean",
            Pooling::Cls => "cls",
        };
        let Self { name, query_prefix, passage_prefix, tokens_max, .. } = self;
        format!("{name} {weights} {pooling} q={query_prefix:?} p={passage_prefix:?} max={tokens_max}")
    }
}

impl Shape {
    fn of(files: &ModelFiles, config: &Config) -> Result<Self> {
        let path = files.path(source::CONFIG);
        let unsupported = |what: String| Err(Error::unsupported(&path, what));
        let offset = match config.model_type.as_str() {
            "bert" | "" => 0,
            "roberta" | "xlm-roberta" | "camembert" => config.pad_token_id.unwrap_or(1) as usize + 1,
            other => return unsupported(format!("a network of type {other}")),
        };
        if let Some(kind) = &config.position_embedding_type
            && kind != "absolute"
        {
            return unsupported(format!("positions of type {kind}"));
        }
        if config.is_decoder {
            return unsupported("a decoder".to_owned());
        }
        let activation = match config.hidden_act.as_str() {
            "gelu" | "gelu_python" => Activation::Gelu,
            "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" => Activation::GeluTanh,
            "relu" => Activation::Relu,
            "silu" | "swish" => Activation::Silu,
            other => return unsupported(format!("the activation {other}")),
        };
        let sides = [
            ("hidden_size", config.hidden_size, SIDE_MAX),
            ("num_hidden_layers", config.num_hidden_layers, SIDE_MAX),
            ("num_attention_heads", config.num_attention_heads, SIDE_MAX),
            ("intermediate_size", config.intermediate_size, SIDE_MAX),
            ("vocab_size", config.vocab_size, TOKENS_MAX),
            ("max_position_embeddings", config.max_position_embeddings, SIDE_MAX),
        ];
        for (name, value, most) in sides {
            if value == 0 || value > most {
                return Err(Error::malformed(&path, format!("{name} is {value}, expected 1 to {most}")));
            }
        }
        if !config.hidden_size.is_multiple_of(config.num_attention_heads) {
            let reason =
                format!("{} heads do not divide a width of {}", config.num_attention_heads, config.hidden_size);
            return Err(Error::malformed(&path, reason));
        }
        if config.max_position_embeddings <= offset + 2 || config.type_vocab_size > SIDE_MAX {
            return Err(Error::malformed(&path, "too few positions or too many token types"));
        }
        if !(config.layer_norm_eps.is_finite() && config.layer_norm_eps >= 0.0) {
            return Err(Error::malformed(&path, "layer_norm_eps is not a small number"));
        }
        Ok(Self {
            width: config.hidden_size,
            layers: config.num_hidden_layers,
            heads: config.num_attention_heads,
            inner: config.intermediate_size,
            tokens: config.vocab_size,
            positions: config.max_position_embeddings,
            first_position: offset,
            pad: config.pad_token_id.unwrap_or(1),
            types: config.type_vocab_size,
            activation,
            epsilon: config.layer_norm_eps as f32,
        })
    }
}

fn json<T: DeserializeOwned>(files: &ModelFiles, name: &str) -> Result<Option<T>> {
    let Some(content) = files.read(name)? else { return Ok(None) };
    serde_json::from_slice(&content).map(Some).map_err(|source| Error::Json { path: files.path(name), source })
}

/// The pooling that the model's files ask for, if they do.
fn pooling(files: &ModelFiles) -> Result<Option<Pooling>> {
    const NAME: &str = "1_Pooling/config.json";
    let Some(config) = json::<Value>(files, NAME)? else { return Ok(None) };
    let modes = config.as_object().into_iter().flatten();
    let mut on: Vec<&str> = modes
        .filter(|(name, value)| name.starts_with("pooling_mode_") && value.as_bool() == Some(true))
        .map(|(name, _)| name.trim_start_matches("pooling_mode_"))
        .collect();
    // Newer files name the mode in one field.
    if on.is_empty() {
        on.extend(config["pooling_mode"].as_str());
    }
    match on[..] {
        ["cls_token" | "cls"] => Ok(Some(Pooling::Cls)),
        // Divided by another number, the mean points the same way.
        ["mean_tokens" | "mean" | "mean_sqrt_len_tokens"] => Ok(Some(Pooling::Mean)),
        [] => Err(Error::malformed(&files.path(NAME), "no pooling is on")),
        _ => Err(Error::unsupported(&files.path(NAME), format!("pooling by {}", on.join(" and ")))),
    }
}

/// Prefixes by purpose, or null.
fn prompts(files: &ModelFiles) -> Result<Value> {
    let config = json::<Value>(files, "config_sentence_transformers.json")?;
    Ok(config.map_or(Value::Null, |mut config| config["prompts"].take()))
}

/// Refuses a chain of modules with a step that is not computed here: without it the vectors would be
/// others than the model's.
fn check_modules(files: &ModelFiles) -> Result<()> {
    const NAME: &str = "modules.json";
    let Some(modules) = json::<Vec<Value>>(files, NAME)? else { return Ok(()) };
    for module in modules {
        let kind = module["type"].as_str().unwrap_or_default();
        let last = kind.rsplit('.').next().unwrap_or_default();
        if !matches!(last, "Transformer" | "Pooling" | "Normalize") {
            return Err(Error::unsupported(&files.path(NAME), format!("the module {kind}")));
        }
    }
    Ok(())
}
