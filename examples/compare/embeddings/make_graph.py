"""An ONNX graph of a BERT-family encoder, up to the last layer's states, from its safetensors.

    python make_graph.py MODEL_FOLDER graph.onnx

Inputs: `ids`, `places` (0, 1, 2 …) and `mask`, all [batch, tokens] of int64. Output: `states` [batch, tokens, width].
Written as PyTorch exports these models, so that ONNX Runtime finds the patterns that it fuses.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file


def build(folder):
    folder = Path(folder)
    config = json.loads((folder / "config.json").read_text())
    weights = load_file(folder / "model.safetensors")
    width, heads = config["hidden_size"], config["num_attention_heads"]
    nodes, initial, seen = [], [], set()

    def constant(name, value):
        if name not in seen:
            seen.add(name)
            initial.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(kind, inputs, output, **attributes):
        nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def linear(name, x, out):
        weight = constant(name + ".weight.T", weights[name + ".weight"].T)
        product = node("MatMul", [x, weight], out + ".product")
        return node("Add", [constant(name + ".bias", weights[name + ".bias"]), product], out)

    def norm(name, x, out):
        scale = constant(name + ".weight", weights[name + ".weight"])
        bias = constant(name + ".bias", weights[name + ".bias"])
        return node("LayerNormalization", [x, scale, bias], out, axis=-1, epsilon=config["layer_norm_eps"])

    words = node("Gather", [constant("words", weights["embeddings.word_embeddings.weight"]), "ids"], "word_rows")
    table = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
    places = node("Gather", [constant("place_table", table), "places"], "place_rows")
    x = norm("embeddings.LayerNorm", node("Add", [words, places], "sum"), "embedded")
    far = node("Sub", [constant("one_f", np.float32([[1]])), node("Cast", ["mask"], "mask_f", to=TensorProto.FLOAT)], "far")
    far = node("Mul", [far, constant("least", np.float32(-1e9))], "far_scaled")
    far = node("Unsqueeze", [far, constant("axes", np.array([1, 2]))], "far_wide")
    split = constant("split", np.array([0, 0, heads, width // heads]))
    merge = constant("merge", np.array([0, 0, width]))
    for layer in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{layer}."

        def part(name, permutation):
            rows = linear(f"{at}attention.self.{name}", x, at + name)
            rows = node("Reshape", [rows, split], f"{at}{name}.split")
            return node("Transpose", [rows], f"{at}{name}.heads", perm=permutation)

        query, key, value = part("query", [0, 2, 1, 3]), part("key", [0, 2, 3, 1]), part("value", [0, 2, 1, 3])
        scores = node("MatMul", [query, key], at + "scores")
        scores = node("Div", [scores, constant("root", np.float32(math.sqrt(width // heads)))], at + "scaled")
        scores = node("Softmax", [node("Add", [scores, far], at + "masked")], at + "shares", axis=-1)
        context = node("Transpose", [node("MatMul", [scores, value], at + "mixed")], at + "turned", perm=[0, 2, 1, 3])
        context = node("Reshape", [context, merge], at + "context")
        out = linear(at + "attention.output.dense", context, at + "attention.out")
        x = norm(at + "attention.output.LayerNorm", node("Add", [out, x], at + "attention.sum"), at + "middle")
        inner = linear(at + "intermediate.dense", x, at + "inner")
        root = constant("root_two", np.float32(math.sqrt(2)))
        error = node("Erf", [node("Div", [inner, root], at + "inner.div")], at + "inner.erf")
        error = node("Add", [error, constant("one_s", np.float32(1))], at + "inner.plus")
        inner = node("Mul", [node("Mul", [inner, error], at + "inner.mul"), constant("half", np.float32(0.5))], at + "gelu")
        out = linear(at + "output.dense", inner, at + "outer")
        x = norm(at + "output.LayerNorm", node("Add", [out, x], at + "outer.sum"), at + "out")
    node("Identity", [x], "states")
    tensor = lambda name, kind, shape: helper.make_tensor_value_info(name, kind, shape)
    graph = helper.make_graph(
        nodes,
        "encoder",
        [tensor(name, TensorProto.INT64, ["batch", "tokens"]) for name in ("ids", "places", "mask")],
        [tensor("states", TensorProto.FLOAT, ["batch", "tokens", width])],
        initial,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


if __name__ == "__main__":
    onnx.save(build(sys.argv[1]), sys.argv[2])
