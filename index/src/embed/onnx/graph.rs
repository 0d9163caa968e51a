//! The ONNX graph of an encoder whose numbers stay in its `model.safetensors`: some thirty kilobytes.
//!
//! Written as PyTorch exports these models, so that ONNX Runtime finds the patterns that it fuses.

use super::proto::{Attribute, FLOAT, Graph, Side};
use crate::embed::config::Shape;
use crate::embed::math::Activation;
use crate::embed::source::WEIGHTS;
use crate::embed::weights::Weights;
use crate::embed::{Error, Result};

/// The name of the graph's output: the last layer's states.
pub(super) const OUTPUT: &str = "last_hidden_state";

/// Builds the graph. Its inputs are `input_ids` and `attention_mask`, `[batch, tokens]`; every text of a batch must
/// have the same length, because padding is not masked: batches of one are the fastest anyway.
pub(super) fn build(weights: &Weights, shape: &Shape) -> Result<Vec<u8>> {
    let prefix = weights.prefix()?;
    let mut building = Building { graph: Graph::default(), weights, prefix, shape };
    building.encoder()?;
    let sides = [Side::Any("batch"), Side::Any("tokens"), Side::Of(shape.width)];
    Ok(building.graph.finish(&["input_ids", "attention_mask"], OUTPUT, &sides))
}

/// A graph that scores as a cross-encoder does: by the first token's state, without a head.
#[cfg(test)]
pub(crate) fn build_scorer(files: &crate::embed::source::ModelFiles) -> Result<Vec<u8>> {
    let shape = &crate::embed::config::Profile::read(files, "", &Default::default())?.shape;
    let weights = &Weights::open(files.weights()?)?;
    let prefix = weights.prefix()?;
    let mut building = Building { graph: Graph::default(), weights, prefix, shape };
    building.encoder()?;
    let first = building.graph.ints("first", &[], &[0]);
    building.graph.node("Gather", &[OUTPUT, &first], "logits", &[Attribute::Int("axis", 1)]);
    let sides = [Side::Any("batch"), Side::Of(shape.width)];
    Ok(building.graph.finish(&["input_ids", "attention_mask"], "logits", &sides))
}

struct Building<'a> {
    graph: Graph,
    weights: &'a Weights,
    prefix: &'static str,
    shape: &'a Shape,
}

impl Building<'_> {
    fn node(&mut self, kind: &str, inputs: &[&str], output: &str) -> String {
        self.graph.node(kind, inputs, output, &[])
    }

    /// A tensor of the model, as floats.
    fn tensor(&mut self, name: &str, sides: &[usize]) -> Result<String> {
        let (at, bytes, kind) = self.weights.place(&format!("{}{name}", self.prefix), sides)?;
        self.graph.elsewhere(name, kind, sides, WEIGHTS, (at, bytes));
        if kind == FLOAT {
            return Ok(name.to_owned());
        }
        Ok(self.graph.node("Cast", &[name], &format!("{name}.float"), &[Attribute::Int("to", FLOAT)]))
    }

    fn linear(&mut self, name: &str, x: &str, depth: usize, width: usize) -> Result<String> {
        let weight = self.tensor(&format!("{name}.weight"), &[width, depth])?;
        let turned = Attribute::Ints("perm", &[1, 0]);
        let weight = self.graph.node("Transpose", &[&weight], &format!("{name}.weight.T"), &[turned]);
        let bias = self.tensor(&format!("{name}.bias"), &[width])?;
        let product = self.node("MatMul", &[x, &weight], &format!("{name}.product"));
        Ok(self.node("Add", &[&bias, &product], &format!("{name}.out")))
    }

    fn norm(&mut self, name: &str, x: &str) -> Result<String> {
        let width = self.shape.width;
        let scale = self.tensor(&format!("{name}.weight"), &[width])?;
        let bias = self.tensor(&format!("{name}.bias"), &[width])?;
        let settings = [Attribute::Int("axis", -1), Attribute::Float("epsilon", self.shape.epsilon)];
        Ok(self.graph.node("LayerNormalization", &[x, &scale, &bias], &format!("{name}.out"), &settings))
    }

    /// Which row of the table of positions each token takes.
    fn places(&mut self) -> String {
        if self.shape.first_position == 0 {
            let sides = self.node("Shape", &["input_ids"], "sides");
            let (first, second) = (self.graph.ints("zero", &[], &[0]), self.graph.ints("one", &[], &[1]));
            let tokens = self.node("Gather", &[&sides, &second], "tokens");
            return self.node("Range", &[&first, &tokens, &second], "places");
        }
        // Counted past the padding token, which has a position of its own wherever it stands.
        let pad = self.graph.ints("pad", &[], &[i64::from(self.shape.pad)]);
        let is_pad = self.node("Equal", &["input_ids", &pad], "is_pad");
        let counts = self.node("Not", &[&is_pad], "counts");
        let to = Attribute::Int("to", super::proto::INT64);
        let counts = self.graph.node("Cast", &[&counts], "counts_as", &[to]);
        let axis = self.graph.ints("along", &[], &[1]);
        let counted = self.node("CumSum", &[&counts, &axis], "counted");
        let counted = self.node("Mul", &[&counted, &counts], "counted_tokens");
        let before = self.graph.ints("before", &[], &[self.shape.first_position as i64 - 1]);
        self.node("Add", &[&counted, &before], "places")
    }

    fn encoder(&mut self) -> Result<()> {
        let Shape { width, layers, heads, inner, tokens, positions, types, .. } = *self.shape;
        let table = self.tensor("embeddings.word_embeddings.weight", &[tokens, width])?;
        let words = self.node("Gather", &[&table, "input_ids"], "word_rows");
        let places = self.places();
        let table = self.tensor("embeddings.position_embeddings.weight", &[positions, width])?;
        let mut rows = self.node("Gather", &[&table, &places], "place_rows");
        if types > 0 {
            let table = self.tensor("embeddings.token_type_embeddings.weight", &[types, width])?;
            let first = self.graph.ints("type_zero", &[], &[0]);
            let kind = self.node("Gather", &[&table, &first], "type_row");
            rows = self.node("Add", &[&rows, &kind], "place_and_type_rows");
        }
        let sum = self.node("Add", &[&words, &rows], "sum");
        let mut x = self.norm("embeddings.LayerNorm", &sum)?;
        let split = self.graph.ints("split", &[4], &[0, 0, heads as i64, (width / heads) as i64]);
        let merge = self.graph.ints("merge", &[3], &[0, 0, width as i64]);
        let root = self.graph.one_float("root", ((width / heads) as f32).sqrt());
        for layer in 0..layers {
            let at = format!("encoder.layer.{layer}.");
            let mut parts = Vec::new();
            for (name, turned) in [("query", [0, 2, 1, 3]), ("key", [0, 2, 3, 1]), ("value", [0, 2, 1, 3])] {
                let rows = self.linear(&format!("{at}attention.self.{name}"), &x, width, width)?;
                let rows = self.node("Reshape", &[&rows, &split], &format!("{at}{name}.split"));
                let turned = Attribute::Ints("perm", &turned);
                parts.push(self.graph.node("Transpose", &[&rows], &format!("{at}{name}.heads"), &[turned]));
            }
            let scores = self.node("MatMul", &[&parts[0], &parts[1]], &format!("{at}scores"));
            let scores = self.node("Div", &[&scores, &root], &format!("{at}scaled"));
            let last = Attribute::Int("axis", -1);
            let shares = self.graph.node("Softmax", &[&scores], &format!("{at}shares"), &[last]);
            let mixed = self.node("MatMul", &[&shares, &parts[2]], &format!("{at}mixed"));
            let back = Attribute::Ints("perm", &[0, 2, 1, 3]);
            let context = self.graph.node("Transpose", &[&mixed], &format!("{at}turned"), &[back]);
            let context = self.node("Reshape", &[&context, &merge], &format!("{at}context"));
            let out = self.linear(&format!("{at}attention.output.dense"), &context, width, width)?;
            let sum = self.node("Add", &[&out, &x], &format!("{at}attention.sum"));
            x = self.norm(&format!("{at}attention.output.LayerNorm"), &sum)?;
            let wide = self.linear(&format!("{at}intermediate.dense"), &x, width, inner)?;
            let wide = self.activation(&wide, &at)?;
            let out = self.linear(&format!("{at}output.dense"), &wide, inner, width)?;
            let sum = self.node("Add", &[&out, &x], &format!("{at}output.sum"));
            x = self.norm(&format!("{at}output.LayerNorm"), &sum)?;
        }
        self.node("Identity", &[&x], OUTPUT);
        Ok(())
    }

    fn activation(&mut self, x: &str, at: &str) -> Result<String> {
        match self.shape.activation {
            Activation::Relu => Ok(self.node("Relu", &[x], &format!("{at}relu"))),
            Activation::Gelu => {
                let name = |part: &str| format!("{at}gelu.{part}");
                let root = self.graph.one_float(&name("root_two"), std::f32::consts::SQRT_2);
                let divided = self.node("Div", &[x, &root], &name("div"));
                let error = self.node("Erf", &[&divided], &name("erf"));
                let one = self.graph.one_float(&name("one"), 1.0);
                let error = self.node("Add", &[&error, &one], &name("plus"));
                let product = self.node("Mul", &[x, &error], &name("mul"));
                let half = self.graph.one_float(&name("half"), 0.5);
                Ok(self.node("Mul", &[&product, &half], &name("out")))
            }
            _ => Err(Error::unsupported(self.weights.path(), "an activation that this graph does not have")),
        }
    }
}
