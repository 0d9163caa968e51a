"""A sentence model of the BERT family in NumPy, in double precision: slow, short, and easy to check.

    python reference.py MODEL_FOLDER < texts.jsonl > vectors.jsonl

Each input line is a JSON string; each output line is its unit vector. Tokens come from the
`tokenizers` package, numbers from `model.safetensors` through the `safetensors` package.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

ERF = np.vectorize(math.erf, otypes=[float])


def erf(x):
    """The error function; through a table it would be quicker, but not a reference."""
    try:
        from scipy.special import erf as fast

        return fast(x)
    except ImportError:
        return ERF(x)


class Model:
    def __init__(self, folder, tokens_max=None):
        folder = Path(folder)
        self.config = json.loads((folder / "config.json").read_text())
        weights = load_file(folder / "model.safetensors")
        prefix = next(p for p in ("", "bert.", "roberta.") if p + "embeddings.word_embeddings.weight" in weights)
        self.weights = {
            name.removeprefix(prefix): value.astype(np.float64)
            for name, value in weights.items()
            if value.dtype.kind == "f"
        }
        self.offset = 0
        if self.config["model_type"] in ("roberta", "xlm-roberta"):
            self.offset = self.config["pad_token_id"] + 1
        room = self.config["max_position_embeddings"] - self.offset
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(min(tokens_max or room, room))
        pooling = folder / "1_Pooling" / "config.json"
        self.cls = pooling.exists() and json.loads(pooling.read_text()).get("pooling_mode_cls_token", False)

    def tokens(self, text):
        return self.tokenizer.encode(text).ids

    def linear(self, name, x):
        return x @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def norm(self, name, x):
        mean = x.mean(-1, keepdims=True)
        spread = ((x - mean) ** 2).mean(-1, keepdims=True)
        x = (x - mean) / np.sqrt(spread + self.config["layer_norm_eps"])
        return x * self.weights[name + ".weight"] + self.weights[name + ".bias"]

    def activate(self, x):
        kind = self.config["hidden_act"]
        if kind == "gelu":
            return 0.5 * x * (1 + erf(x / math.sqrt(2)))
        if kind in ("gelu_new", "gelu_pytorch_tanh"):
            return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
        return np.maximum(x, 0)

    def embed(self, text):
        ids = self.tokens(text)
        positions, place = [], self.offset
        for token in ids:
            if self.offset and token == self.config["pad_token_id"]:
                positions.append(self.offset - 1)
            else:
                positions.append(place)
                place += 1
        w = self.weights
        x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][positions]
        if "embeddings.token_type_embeddings.weight" in w:
            x = x + w["embeddings.token_type_embeddings.weight"][0]
        x = self.norm("embeddings.LayerNorm", x)
        heads = self.config["num_attention_heads"]
        for layer in range(self.config["num_hidden_layers"]):
            at = f"encoder.layer.{layer}."
            q, k, v = (
                self.linear(f"{at}attention.self.{part}", x).reshape(len(ids), heads, -1).transpose(1, 0, 2)
                for part in ("query", "key", "value")
            )
            scores = q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1])
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            scores /= scores.sum(-1, keepdims=True)
            context = (scores @ v).transpose(1, 0, 2).reshape(len(ids), -1)
            x = self.norm(f"{at}attention.output.LayerNorm", x + self.linear(f"{at}attention.output.dense", context))
            inner = self.activate(self.linear(f"{at}intermediate.dense", x))
            x = self.norm(f"{at}output.LayerNorm", x + self.linear(f"{at}output.dense", inner))
        vector = x[0] if self.cls else x.mean(0)
        return vector / np.linalg.norm(vector)


if __name__ == "__main__":
    model = Model(sys.argv[1])
    for line in sys.stdin:
        print(json.dumps([round(x, 9) for x in model.embed(json.loads(line)).tolist()]))
