"""The built-in encoder beside ONNX Runtime: same model, same texts, one core each, in one run.

    pip install numpy safetensors tokenizers onnx onnxruntime
    cargo build --release -p harness-index --example embed_lines
    python compare.py MODEL_FOLDER target/release/examples/embed_lines [ROUNDS]

ONNX Runtime takes one text at a time on one thread without spinning, which is its fastest way on a
processor. Both include cutting texts into tokens. Rounds alternate between the two; the figures are
medians over rounds of the seconds that a processor worked (not of those that passed, which say more about
what else runs). Linux only.
"""

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from make_graph import build
from tokenizers import Tokenizer

WORDS = """time year people way day man thing woman life child world school state family student group country
problem hand part place case week company system program question work government number night point home water
room mother area money story fact month lot right study book eye job word business issue side kind head house
service friend father power hour game line end member law car city name president team minute idea body back
parent face level office door health person art war history party result change morning reason girl guy moment
air teacher force""".split()


def texts(lengths):
    """Texts of so many tokens: each of these words is one token, and two tokens go around."""
    pick = random.Random(7)
    return [" ".join(pick.choice(WORDS) for _ in range(length - 2)) for length in lengths]


def sets():
    pick = random.Random(8)
    mixed = [8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256]
    return {
        "64 tokens": texts([64] * 64),
        "256 tokens": texts([256] * 16),
        "mixed lengths": texts([pick.choice(mixed) for _ in range(64)]),
        "short query": texts([10] * 100),
    }


class OnnxRuntime:
    def __init__(self, folder):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        with tempfile.TemporaryDirectory() as temporary:
            path = str(Path(temporary) / "graph.onnx")
            onnx.save(build(folder), path)
            self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(512)

    def embed(self, text):
        ids = np.array([self.tokenizer.encode(text).ids], dtype=np.int64)
        places = np.arange(ids.shape[1], dtype=np.int64)[None]
        vector = self.session.run(None, {"ids": ids, "places": places, "mask": np.ones_like(ids)})[0][0].mean(0)
        return vector / np.linalg.norm(vector)

    def seconds(self, some, together):
        start = time.process_time()
        for text in some:
            self.embed(text)
        return time.process_time() - start


class BuiltIn:
    def __init__(self, folder, program, threads=1):
        command = [program, str(folder), str(threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.loaded = json.loads(self.process.stdout.readline())

    def ask(self, some, together=True, vectors=False):
        request = json.dumps({"texts": some, "together": together, "vectors": vectors})
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def seconds(self, some, together):
        return self.ask(some, together)["worked"]


def main():
    folder, program = sys.argv[1:3]
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 7
    other, own = OnnxRuntime(folder), BuiltIn(folder, program)
    print("built-in load:", own.loaded)
    for name, some in sets().items():
        vectors = own.ask(some, vectors=True)["vectors"]
        least = min(float(np.dot(other.embed(text), vector)) for text, vector in zip(some, vectors))
        together = name != "short query"
        pairs = []
        for _ in range(rounds):
            pairs.append((other.seconds(some, together), own.seconds(some, together)))
        theirs, ours = (statistics.median(seconds) for seconds in zip(*pairs))
        ratio = statistics.median(theirs / ours for theirs, ours in pairs)
        print(
            f"{name:14} ONNX Runtime {len(some) / theirs:7.1f} docs/s, built-in {len(some) / ours:7.1f} docs/s "
            f"({ours / len(some) * 1e3:.2f} ms each), ratio {ratio:.2f}, least cosine {least:.7f}"
        )
    print("built-in peak:", own.ask(["x"])["peak_kb"] // 1024, "MB")
    two = BuiltIn(folder, program, 2)
    some = texts([64] * 128)
    two.ask(some)
    pairs = [(own.ask(some)["seconds"], two.ask(some)["seconds"]) for _ in range(rounds)]
    print(f"two threads: {statistics.median(one / both for one, both in pairs):.2f} times one, by the seconds that passed")


if __name__ == "__main__":
    main()
