//! A small random BERT, made anew in every test that wants one, and its naive twin in double precision.

use super::source::{CONFIG, TOKENIZER, WEIGHTS};
use std::collections::BTreeMap;
use std::path::Path;

pub(super) const WIDTH: usize = 24;
pub(super) const HEADS: usize = 3;
pub(super) const INNER: usize = 40;
pub(super) const LAYERS: usize = 2;
pub(super) const POSITIONS: usize = 64;

const PIECES: &[&str] = &[
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "disk", "is", "full", "deploy", "##ed", "##s", "un", "##able",
    "a", "##b", "b", "c", "##c", ".", ",", "x", "word", "学", "习", "##x", "1", "##2", "e", "##e",
];

/// The tensors of a model, by name.
pub(super) struct Tiny {
    pub(super) tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl Tiny {
    /// A model whose numbers follow from `seed`.
    pub(super) fn new(seed: u64) -> Self {
        let mut state = seed.wrapping_mul(2).wrapping_add(1);
        let mut tensors = BTreeMap::new();
        let mut add = |name: String, shape: &[usize], around: f32| {
            let count = shape.iter().product();
            let values = (0..count)
                .map(|_| {
                    state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    around + ((state >> 40) as f32 / (1 << 23) as f32 - 1.0) * 0.5
                })
                .collect();
            tensors.insert(name, (shape.to_vec(), values));
        };
        add("embeddings.word_embeddings.weight".into(), &[PIECES.len(), WIDTH], 0.0);
        add("embeddings.position_embeddings.weight".into(), &[POSITIONS, WIDTH], 0.0);
        add("embeddings.token_type_embeddings.weight".into(), &[2, WIDTH], 0.0);
        let mut norms = vec!["embeddings.LayerNorm".to_owned()];
        for layer in 0..LAYERS {
            let name = |part: &str| format!("encoder.layer.{layer}.{part}");
            let layers = [
                ("attention.self.query", WIDTH, WIDTH),
                ("attention.self.key", WIDTH, WIDTH),
                ("attention.self.value", WIDTH, WIDTH),
                ("attention.output.dense", WIDTH, WIDTH),
                ("intermediate.dense", INNER, WIDTH),
                ("output.dense", WIDTH, INNER),
            ];
            for (part, outputs, inputs) in layers {
                add(name(&format!("{part}.weight")), &[outputs, inputs], 0.0);
                add(name(&format!("{part}.bias")), &[outputs], 0.0);
            }
            norms.push(name("attention.output.LayerNorm"));
            norms.push(name("output.LayerNorm"));
        }
        for norm in norms {
            add(format!("{norm}.weight"), &[WIDTH], 1.0);
            add(format!("{norm}.bias"), &[WIDTH], 0.0);
        }
        Self { tensors }
    }

    /// The model as a `model.safetensors`.
    pub(super) fn safetensors(&self) -> Vec<u8> {
        let mut header = serde_json::Map::new();
        let mut data = Vec::new();
        for (name, (shape, values)) in &self.tensors {
            let from = data.len();
            data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            let entry = serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [from, data.len()]});
            header.insert(name.clone(), entry);
        }
        let header = serde_json::to_vec(&header).unwrap();
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header);
        file.extend(data);
        file
    }

    /// The model as a folder that `ModelFiles` opens.
    pub(super) fn write(&self, folder: &Path) {
        std::fs::write(folder.join(WEIGHTS), self.safetensors()).unwrap();
        std::fs::write(folder.join(CONFIG), config().to_string()).unwrap();
        std::fs::write(folder.join(TOKENIZER), tokenizer().to_string()).unwrap();
    }

    /// The mean of the last layer's states, at unit length, computed the slow way.
    pub(super) fn naive(&self, ids: &[u32]) -> Vec<f64> {
        let mut states: Vec<Vec<f64>> = Vec::new();
        for (position, &id) in ids.iter().enumerate() {
            let rows = [
                self.row("embeddings.word_embeddings.weight", id as usize),
                self.row("embeddings.position_embeddings.weight", position),
                self.row("embeddings.token_type_embeddings.weight", 0),
            ];
            let sum: Vec<f64> = (0..WIDTH).map(|i| rows.iter().map(|row| row[i]).sum()).collect();
            states.push(self.norm("embeddings.LayerNorm", &sum));
        }
        for layer in 0..LAYERS {
            let name = |part: &str| format!("encoder.layer.{layer}.{part}");
            let project =
                |part: &str| -> Vec<Vec<f64>> { states.iter().map(|state| self.linear(&name(part), state)).collect() };
            let queries = project("attention.self.query");
            let keys = project("attention.self.key");
            let values = project("attention.self.value");
            let depth = WIDTH / HEADS;
            let mut next = Vec::new();
            for (state, query) in states.iter().zip(&queries) {
                let mut context = vec![0.0; WIDTH];
                for head in 0..HEADS {
                    let range = head * depth..(head + 1) * depth;
                    let scores: Vec<f64> = keys
                        .iter()
                        .map(|key| dot(&query[range.clone()], &key[range.clone()]) / (depth as f64).sqrt())
                        .map(f64::exp)
                        .collect();
                    let total: f64 = scores.iter().sum();
                    for (score, value) in scores.iter().zip(&values) {
                        for i in range.clone() {
                            context[i] += score / total * value[i];
                        }
                    }
                }
                let out = self.linear(&name("attention.output.dense"), &context);
                let middle = self.norm(&name("attention.output.LayerNorm"), &add(state, &out));
                let mut inner = self.linear(&name("intermediate.dense"), &middle);
                for x in &mut inner {
                    *x *= 0.5 * (1.0 + erf(*x / 2.0f64.sqrt()));
                }
                let out = self.linear(&name("output.dense"), &inner);
                next.push(self.norm(&name("output.LayerNorm"), &add(&middle, &out)));
            }
            states = next;
        }
        let mut sum = vec![0.0; WIDTH];
        for state in &states {
            sum = add(&sum, state);
        }
        let length = dot(&sum, &sum).sqrt();
        sum.iter().map(|x| x / length).collect()
    }

    fn values(&self, name: &str) -> &[f32] {
        &self.tensors[name].1
    }

    fn row(&self, name: &str, row: usize) -> Vec<f64> {
        self.values(name)[row * WIDTH..][..WIDTH].iter().map(|&x| f64::from(x)).collect()
    }

    fn linear(&self, name: &str, input: &[f64]) -> Vec<f64> {
        let weight = self.values(&format!("{name}.weight"));
        let bias = self.values(&format!("{name}.bias"));
        let rows = weight.chunks_exact(input.len()).zip(bias);
        rows.map(|(row, &bias)| row.iter().zip(input).map(|(&w, x)| f64::from(w) * x).sum::<f64>() + f64::from(bias))
            .collect()
    }

    fn norm(&self, name: &str, input: &[f64]) -> Vec<f64> {
        let weight = self.values(&format!("{name}.weight"));
        let bias = self.values(&format!("{name}.bias"));
        let mean = input.iter().sum::<f64>() / input.len() as f64;
        let spread = input.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / input.len() as f64;
        let scale = 1.0 / (spread + 1e-12).sqrt();
        let scaled = input.iter().map(|x| (x - mean) * scale);
        scaled.zip(weight).zip(bias).map(|((x, &w), &b)| x * f64::from(w) + f64::from(b)).collect()
    }
}

/// The shape that [`Tiny`] has.
pub(super) fn config() -> serde_json::Value {
    serde_json::json!({
        "model_type": "bert", "_name_or_path": "tests/tiny-bert", "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "intermediate_size": INNER,
        "vocab_size": PIECES.len(), "max_position_embeddings": POSITIONS, "type_vocab_size": 2,
        "layer_norm_eps": 1e-12, "hidden_act": "gelu", "pad_token_id": 0,
    })
}

/// A WordPiece tokenizer of thirty pieces.
pub(super) fn tokenizer() -> serde_json::Value {
    let vocabulary: BTreeMap<&str, usize> = PIECES.iter().enumerate().map(|(id, &piece)| (piece, id)).collect();
    let special = |name: &str| serde_json::json!({"id": name, "ids": [vocabulary[name]], "tokens": [name]});
    let added: Vec<_> = PIECES[..5]
        .iter()
        .enumerate()
        .map(|(id, piece)| serde_json::json!({"id": id, "content": piece, "special": true, "normalized": false}))
        .collect();
    serde_json::json!({
        "added_tokens": added,
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                       "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                       {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
            "special_tokens": {"[CLS]": special("[CLS]"), "[SEP]": special("[SEP]")}},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": vocabulary},
    })
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn add(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(x, y)| x + y).collect()
}

/// The error function by its series; beyond 6 it is 1 to the last bit.
fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum, mut n) = (x, x, 0.0);
    while term.abs() > 1e-17 {
        n += 1.0;
        term *= -x * x / n;
        sum += term / (2.0 * n + 1.0);
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}
