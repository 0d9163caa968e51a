//! As much of the ONNX file format as a graph needs whose numbers lie in another file: protocol buffers, written by
//! hand. Field numbers are those of `onnx.proto3`, IR version 8.

/// A message of protocol buffers in the making.
#[derive(Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// A whole number; negative ones as two's complement, as the format has it.
    pub(super) fn int(mut self, field: u32, value: i64) -> Self {
        self.varint(u64::from(field) << 3);
        self.varint(value as u64);
        self
    }

    pub(super) fn float(mut self, field: u32, value: f32) -> Self {
        self.varint(u64::from(field) << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(super) fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    pub(super) fn text(self, field: u32, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    pub(super) fn message(self, field: u32, value: &Message) -> Self {
        self.bytes(field, &value.0)
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Types of numbers.
pub(super) const FLOAT: i64 = 1;
pub(super) const INT64: i64 = 7;

/// A setting of a node.
pub(super) enum Attribute<'a> {
    Int(&'a str, i64),
    Float(&'a str, f32),
    Ints(&'a str, &'a [i64]),
}

impl Attribute<'_> {
    fn message(&self) -> Message {
        match *self {
            Attribute::Float(name, value) => Message::default().text(1, name).float(2, value).int(20, 1),
            Attribute::Int(name, value) => Message::default().text(1, name).int(3, value).int(20, 2),
            Attribute::Ints(name, values) => {
                let start = Message::default().text(1, name);
                values.iter().fold(start, |message, value| message.int(8, *value)).int(20, 7)
            }
        }
    }
}

/// One side of what goes in or comes out.
pub(super) enum Side {
    /// As long as it happens to be; equal names are equally long.
    Any(&'static str),
    Of(usize),
}

/// A graph in the making.
#[derive(Default)]
pub(super) struct Graph {
    nodes: Vec<Message>,
    tensors: Vec<Message>,
}

impl Graph {
    /// Adds a node with one output, whose name is answered.
    pub(super) fn node(&mut self, kind: &str, inputs: &[&str], output: &str, attributes: &[Attribute]) -> String {
        let start = inputs.iter().fold(Message::default(), |message, input| message.text(1, input));
        let named = start.text(2, output).text(3, output).text(4, kind);
        let node = attributes.iter().fold(named, |message, attribute| message.message(5, &attribute.message()));
        self.nodes.push(node);
        output.to_owned()
    }

    /// Adds a tensor whose numbers lie in `file`.
    pub(super) fn elsewhere(&mut self, name: &str, kind: i64, sides: &[usize], file: &str, place: (u64, u64)) {
        let entry = |key: &str, value: &str| Message::default().text(1, key).text(2, value);
        let start = sides.iter().fold(Message::default(), |message, side| message.int(1, *side as i64));
        let tensor = start.int(2, kind).text(8, name).message(13, &entry("location", file));
        let tensor = tensor.message(13, &entry("offset", &place.0.to_string()));
        self.tensors.push(tensor.message(13, &entry("length", &place.1.to_string())).int(14, 1));
    }

    /// Adds a small tensor of whole numbers.
    pub(super) fn ints(&mut self, name: &str, sides: &[usize], values: &[i64]) -> String {
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.small(name, INT64, sides, &raw)
    }

    /// Adds a single float.
    pub(super) fn one_float(&mut self, name: &str, value: f32) -> String {
        self.small(name, FLOAT, &[], &value.to_le_bytes())
    }

    fn small(&mut self, name: &str, kind: i64, sides: &[usize], raw: &[u8]) -> String {
        let start = sides.iter().fold(Message::default(), |message, side| message.int(1, *side as i64));
        self.tensors.push(start.int(2, kind).text(8, name).bytes(9, raw));
        name.to_owned()
    }

    /// The whole model. Inputs are `[batch, tokens]`; the output has these sides, a number or a name each.
    pub(super) fn finish(self, inputs: &[&str], output: &str, sides: &[Side]) -> Vec<u8> {
        let value = |name: &str, kind: i64, sides: &[Side]| {
            let side = |side: &Side| match side {
                Side::Any(name) => Message::default().text(2, name),
                Side::Of(length) => Message::default().int(1, *length as i64),
            };
            let shape = sides.iter().fold(Message::default(), |shape, one| shape.message(1, &side(one)));
            let tensor = Message::default().int(1, kind).message(2, &shape);
            Message::default().text(1, name).message(2, &Message::default().message(1, &tensor))
        };
        let graph = self.nodes.iter().fold(Message::default(), |graph, node| graph.message(1, node)).text(2, "encoder");
        let graph = self.tensors.iter().fold(graph, |graph, tensor| graph.message(5, tensor));
        let graph = inputs.iter().fold(graph, |graph, name| {
            graph.message(11, &value(name, INT64, &[Side::Any("batch"), Side::Any("tokens")]))
        });
        let graph = graph.message(12, &value(output, FLOAT, sides));
        let operators = Message::default().text(1, "").int(2, 17);
        Message::default().int(1, 8).text(2, "harness").message(7, &graph).message(8, &operators).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_are_written_as_protocol_buffers_have_them() {
        let inner = Message::default().text(2, "ab");
        let written = Message::default().int(1, 300).int(1, -1).float(2, 1.0).message(3, &inner).finish();
        let mut expected = vec![0x08, 0xac, 0x02, 0x08];
        expected.extend([0xff; 9]);
        expected.extend([0x01, 0x15, 0, 0, 0x80, 0x3f, 0x1a, 0x04, 0x12, 0x02, b'a', b'b']);
        assert_eq!(written, expected);
    }
}
