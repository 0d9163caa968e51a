//! The layers of a BERT-family encoder, in single precision.
//!
//! The texts of a batch lie one after the other without padding: the linear layers see one long
//! matrix, attention looks at each text by itself.

use super::Result;
use super::config::Shape;
use super::gemm::{Isa, Packed};
use super::math::{self, Norm};
use super::weights::{TOKENS, Table, Weights};

/// A linear layer.
struct Linear {
    weight: Packed,
    bias: Vec<f32>,
}

impl Linear {
    fn apply(&self, rows: usize, input: &[f32], output: &mut [f32]) {
        let depth = self.weight.depth();
        self.weight.multiply(rows, input, depth, Some(&self.bias), output, self.weight.columns());
    }
}

struct Layer {
    /// Queries, keys and values in one product.
    attention: Linear,
    attention_out: Linear,
    attention_norm: Norm,
    inner: Linear,
    outer: Linear,
    outer_norm: Norm,
}

/// A model's numbers, ready to be used.
pub(crate) struct Network {
    isa: Isa,
    shape: Shape,
    tokens: Table,
    /// Rows of positions, each with the row of token type 0 added.
    positions: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
}

/// Working memory of one thread.
pub(crate) struct Scratch {
    hidden: Vec<f32>,
    wide: Vec<f32>,
    context: Vec<f32>,
    scores: Vec<f32>,
    inverse: Vec<f32>,
    keys: Packed,
    values: Packed,
}

impl Scratch {
    pub(crate) fn new(network: &Network) -> Self {
        let isa = network.isa;
        Self {
            hidden: Vec::new(),
            wide: Vec::new(),
            context: Vec::new(),
            scores: Vec::new(),
            inverse: Vec::new(),
            keys: Packed::new(isa),
            values: Packed::new(isa),
        }
    }

    /// What the last run left: one row for each token, text after text.
    pub(crate) fn states(&self) -> &[f32] {
        &self.hidden
    }
}

impl Network {
    /// Reads and packs the layers.
    pub(crate) fn load(weights: Weights, shape: &Shape) -> Result<Self> {
        let isa = Isa::detect();
        let width = shape.width;
        let prefix = weights.prefix()?;
        let loader = Loader { weights: &weights, prefix, isa, epsilon: shape.epsilon };
        let mut positions = loader.tensor("embeddings.position_embeddings.weight", &[shape.positions, width])?;
        if shape.types > 0 {
            let types = loader.tensor("embeddings.token_type_embeddings.weight", &[shape.types, width])?;
            for row in positions.chunks_exact_mut(width) {
                for (x, y) in row.iter_mut().zip(&types[..width]) {
                    *x += y;
                }
            }
        }
        let norm = loader.norm("embeddings.LayerNorm", width)?;
        let mut layers = Vec::new();
        for layer in 0..shape.layers {
            let name = |part: &str| format!("encoder.layer.{layer}.{part}");
            let parts = ["query", "key", "value"].map(|part| name(&format!("attention.self.{part}")));
            layers.push(Layer {
                attention: loader.linear(&parts, width, width)?,
                attention_out: loader.linear(&[name("attention.output.dense")], width, width)?,
                attention_norm: loader.norm(&name("attention.output.LayerNorm"), width)?,
                inner: loader.linear(&[name("intermediate.dense")], width, shape.inner)?,
                outer: loader.linear(&[name("output.dense")], shape.inner, width)?,
                outer_norm: loader.norm(&name("output.LayerNorm"), width)?,
            });
        }
        let tokens = weights.table(&format!("{prefix}{TOKENS}"), shape.tokens, width)?;
        Ok(Self { isa, shape: shape.clone(), tokens, positions, norm, layers })
    }

    /// Leaves the last layer's states of all texts in [`Scratch::states`].
    pub(crate) fn run(&self, texts: &[&[u32]], scratch: &mut Scratch) -> Result<()> {
        let Scratch { hidden, wide, context, .. } = scratch;
        let width = self.shape.width;
        let rows: usize = texts.iter().map(|text| text.len()).sum();
        hidden.clear();
        for text in texts {
            let start = hidden.len();
            self.tokens.append(text, hidden)?;
            self.add_positions(text, &mut hidden[start..]);
        }
        self.norm.apply(self.isa, hidden, None);
        wide.resize(rows * (3 * width).max(self.shape.inner), 0.0);
        context.resize(rows * width, 0.0);
        for layer in &self.layers {
            layer.attention.apply(rows, &scratch.hidden, &mut scratch.wide);
            let mut from = 0;
            for text in texts {
                self.attend(from, text.len(), scratch);
                from += text.len();
            }
            let Scratch { hidden, wide, context, .. } = &mut *scratch;
            let out = &mut wide[..rows * width];
            layer.attention_out.apply(rows, context, out);
            layer.attention_norm.apply(self.isa, hidden, Some(out));
            let inner = &mut wide[..rows * self.shape.inner];
            layer.inner.apply(rows, hidden, inner);
            math::activate(self.isa, self.shape.activation, inner);
            layer.outer.apply(rows, inner, context);
            layer.outer_norm.apply(self.isa, hidden, Some(&context[..rows * width]));
        }
        Ok(())
    }

    fn add_positions(&self, text: &[u32], states: &mut [f32]) {
        let width = self.shape.width;
        let first = self.shape.first_position;
        let mut next = first;
        for (token, state) in text.iter().zip(states.chunks_exact_mut(width)) {
            // With an offset, padding has a place of its own and takes none from the others.
            let position = if first > 0 && *token == self.shape.pad {
                first - 1
            } else {
                next += 1;
                next - 1
            };
            for (x, y) in state.iter_mut().zip(&self.positions[position * width..][..width]) {
                *x += y;
            }
        }
    }

    /// Attention of one text: from its rows of queries, keys and values in `wide` to its rows of
    /// `context`.
    fn attend(&self, from: usize, length: usize, scratch: &mut Scratch) {
        let Scratch { wide, context, scores, inverse, keys, values, .. } = scratch;
        let width = self.shape.width;
        let depth = width / self.shape.heads;
        let stride = 3 * width;
        let scale = 1.0 / (depth as f32).sqrt();
        scores.resize(length * length, 0.0);
        inverse.resize(length, 0.0);
        for head in 0..self.shape.heads {
            let start = from * stride + head * depth;
            keys.pack_transposed(&wide[start + width..], stride, depth, length);
            values.pack_rows(&wide[start + 2 * width..], stride, length, depth);
            let scores = &mut scores[..length * length];
            keys.multiply(length, &wide[start..], stride, None, scores, length);
            math::softmax(self.isa, scores, length, scale, inverse);
            let out = &mut context[from * width + head * depth..];
            values.multiply(length, scores, length, None, out, width);
            math::scale_rows(out, width, depth, inverse);
        }
    }
}

/// Reads tensors by the names that every network of the family uses.
struct Loader<'a> {
    weights: &'a Weights,
    prefix: &'a str,
    isa: Isa,
    epsilon: f32,
}

impl Loader<'_> {
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        self.weights.tensor(&format!("{}{name}", self.prefix), shape)
    }

    /// One layer of the outputs of all `names`, one after the other.
    fn linear(&self, names: &[String], inputs: usize, outputs: usize) -> Result<Linear> {
        let mut weight = Vec::with_capacity(names.len() * inputs * outputs);
        let mut bias = Vec::with_capacity(names.len() * outputs);
        for name in names {
            weight.extend(self.tensor(&format!("{name}.weight"), &[outputs, inputs])?);
            bias.extend(self.tensor(&format!("{name}.bias"), &[outputs])?);
        }
        let mut packed = Packed::new(self.isa);
        packed.pack_transposed(&weight, inputs, inputs, names.len() * outputs);
        Ok(Linear { weight: packed, bias })
    }

    fn norm(&self, name: &str, width: usize) -> Result<Norm> {
        // Models converted from TensorFlow's first release kept its names.
        let old = !self.weights.has(&format!("{}{name}.weight", self.prefix));
        let [weight, bias] = if old { ["gamma", "beta"] } else { ["weight", "bias"] };
        Ok(Norm {
            weight: self.tensor(&format!("{name}.{weight}"), &[width])?,
            bias: self.tensor(&format!("{name}.{bias}"), &[width])?,
            epsilon: self.epsilon,
        })
    }
}
