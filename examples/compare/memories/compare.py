"""The same notes and questions for `harness serve` and for other memories: how long an add and a search take.

`./run` prepares everything and starts this. Every memory is given 2,000 notes, one at a time as a conversation gives
them, and another 2,000 in as few calls as it takes them in; it is asked 200 questions in other words than the notes'. mem0 (with `infer=False`, so that no model is called)
and Chroma get one embedder that costs nothing, so that what is measured is theirs; `found` says how often the note that
was asked for is among the ten that came back. harness is asked over HTTP; the others in the way their own
documentation shows first, and Chroma over HTTP too.
"""

import argparse
import http.client
import json
import math
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

NOTES = 2_000
QUESTIONS = 200
ANSWERS = 10
DIMENSIONS = 256

THINGS = "billing gateway scheduler importer dashboard mailer catalogue checkout search exporter".split()
PLACES = "staging production canary preview nightly laptop cluster warehouse edge backup".split()
FACTS = [
    ("{thing} of {owner} in {place} listens on port {number}", "which port does {owner}'s {thing} use in {place}"),
    ("{thing} of {owner} in {place} keeps {number} connections open at most", "how many connections for {owner} {place} {thing}"),
    ("{owner} decided that the {thing} in {place} retries {number} times before it gives up", "retries of the {thing} that {owner} decided for {place}"),
    ("before the {thing} of {owner} is deployed to {place}, ticket {number} must be closed", "what must be done before deploying the {thing} of {owner} to {place}"),
    ("the certificate of {owner}'s {thing} in {place} is renewed by job {number}", "who renews the certificate for the {thing} of {owner}, {place}"),
]
SYLLABLES = "ka lo mi ne ru ta so vi pe du ga hi".split()


def material():
    """Notes, and questions with the number of the note that answers each."""
    dice = random.Random(7)
    notes, questions = [], []
    for number in range(NOTES):
        owner = "".join(dice.choice(SYLLABLES) for _ in range(4)).capitalize()
        words = {"owner": owner, "thing": dice.choice(THINGS), "place": dice.choice(PLACES), "number": 1_000 + number}
        note, question = dice.choice(FACTS)
        notes.append(note.format(**words))
        questions.append((question.format(**words), number))
    return notes, dice.sample(questions, QUESTIONS)


def embed(text):
    """Words and their beginnings, hashed into a unit vector: the least that can be called an embedder."""
    vector = [0.0] * DIMENSIONS
    for word in re.findall(r"\w+", text.lower()):
        for part in {word, word[:4]}:
            value = 0
            for char in part:
                value = (value * 131 + ord(char)) & 0xFFFFFFFF
            vector[value % DIMENSIONS] += 1.0 if value & 0x10000 else -1.0
    length = math.sqrt(sum(x * x for x in vector)) or 1.0
    return [x / length for x in vector]


class Harness:
    """`harness serve`, over one connection that stays open."""

    name = "harness, over HTTP"

    def __init__(self, folder, program):
        self.server = subprocess.Popen(
            [program, "--home", str(folder / "home"), "serve", "--addr", "127.0.0.1:0", "--json"],
            stdout=subprocess.PIPE,
            text=True,
        )
        said = json.loads(self.server.stdout.readline())
        token = Path(said["token_file"]).read_text().strip()
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.connection = http.client.HTTPConnection(urlsplit(said["url"]).netloc)

    def ask(self, path, body):
        self.connection.request("POST", path, json.dumps(body), self.headers)
        response = self.connection.getresponse()
        answer = json.loads(response.read())
        assert response.status < 300, answer
        return answer

    def add(self, note):
        self.ask("/v1/notes", {"text": note})

    def add_all(self, notes):
        for start in range(0, len(notes), 1_000):
            self.ask("/v1/notes", [{"text": note} for note in notes[start : start + 1_000]])

    def search(self, question):
        return [hit["text"] for hit in self.ask("/v1/recall", {"query": question, "limit": ANSWERS})["hits"]]

    def close(self):
        self.server.terminate()
        self.server.wait()


class Mem0:
    """mem0 with its own default store, as a library."""

    name = "mem0 (infer=False), as a library"

    def __init__(self, folder):
        os.environ |= {"MEM0_TELEMETRY": "False", "OPENAI_API_KEY": "none", "MEM0_DIR": str(folder / "mem0")}
        from mem0 import Memory

        class Embedder:
            def embed(self, text, memory_action=None):
                return embed(text)

            def embed_batch(self, texts, memory_action=None):
                return [embed(text) for text in texts]

        self.memory = Memory.from_config(
            {
                "vector_store": {
                    "provider": "qdrant",
                    "config": {"path": str(folder / "qdrant"), "on_disk": True, "embedding_model_dims": DIMENSIONS},
                },
                "history_db_path": str(folder / "history.db"),
            }
        )
        self.memory.embedding_model = Embedder()

    def add(self, note):
        self.memory.add(note, user_id="ana", infer=False)

    def add_all(self, notes):
        self.memory.add([{"role": "user", "content": note} for note in notes], user_id="ana", infer=False)

    def search(self, question):
        try:
            found = self.memory.search(question, filters={"user_id": "ana"}, top_k=ANSWERS)
        except TypeError:
            found = self.memory.search(question, user_id="ana", limit=ANSWERS)
        return [hit["memory"] for hit in found["results"]]

    def close(self):
        pass


class Chroma:
    """Chroma as a library."""

    name = "chromadb, as a library"

    def __init__(self, folder):
        import chromadb

        self.count = 0
        self.collect(chromadb.PersistentClient(str(folder / "chroma"), self.settings()))

    @staticmethod
    def settings():
        from chromadb.config import Settings

        return Settings(anonymized_telemetry=False)

    def collect(self, client):
        self.collection = client.create_collection("notes", embedding_function=None)

    def add(self, note):
        self.count += 1
        self.collection.add(ids=[str(self.count)], documents=[note], embeddings=[embed(note)])

    def add_all(self, notes):
        ids = [f"all-{number}" for number in range(len(notes))]
        self.collection.add(ids=ids, documents=notes, embeddings=[embed(note) for note in notes])

    def search(self, question):
        return self.collection.query(query_embeddings=[embed(question)], n_results=ANSWERS)["documents"][0]

    def close(self):
        pass


class ChromaServer(Chroma):
    """`chroma run`, over HTTP."""

    name = "chromadb, over HTTP"

    def __init__(self, folder):
        import chromadb

        self.count, port = 0, free_port()
        program = Path(sys.executable).with_name("chroma")
        self.server = subprocess.Popen(
            [program, "run", "--path", str(folder / "served"), "--host", "127.0.0.1", "--port", str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(300):
            try:
                client = chromadb.HttpClient("127.0.0.1", port, settings=self.settings())
                break
            except Exception:
                time.sleep(0.1)
        self.collect(client)

    def close(self):
        self.server.terminate()
        self.server.wait()


class Reference:
    """The reference memory server of the Model Context Protocol, over standard input and output."""

    name = "reference MCP memory server, stdio"

    def __init__(self, folder, modules):
        script = modules / "@modelcontextprotocol/server-memory/dist/index.js"
        self.server = subprocess.Popen(
            ["node", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"MEMORY_FILE_PATH": str(folder / "memory.jsonl")},
        )
        self.id = 0
        hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "compare", "version": "1"}}
        self.ask("initialize", hello)
        self.say({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def say(self, message):
        self.server.stdin.write(json.dumps(message) + "\n")
        self.server.stdin.flush()

    def ask(self, method, params):
        self.id += 1
        self.say({"jsonrpc": "2.0", "id": self.id, "method": method, "params": params})
        while True:
            answer = json.loads(self.server.stdout.readline())
            if answer.get("id") == self.id:
                return answer["result"]

    def call(self, tool, arguments):
        result = self.ask("tools/call", {"name": tool, "arguments": arguments})
        assert not result.get("isError"), result
        return result

    def add(self, note):
        entity = {"name": f"note-{self.id}", "entityType": "note", "observations": [note]}
        self.call("create_entities", {"entities": [entity]})

    def add_all(self, notes):
        named = enumerate(notes)
        entities = [{"name": f"all-{n}", "entityType": "note", "observations": [note]} for n, note in named]
        self.call("create_entities", {"entities": entities})

    def search(self, question):
        found = json.loads(self.call("search_nodes", {"query": question})["content"][0]["text"])
        return [entity["observations"][0] for entity in found["entities"]][:ANSWERS]

    def close(self):
        self.server.terminate()
        self.server.wait()


def free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def measure(memory, notes, questions):
    started = time.perf_counter()
    for note in notes:
        memory.add(note)
    adding = time.perf_counter() - started
    # What is done only once is not counted for anybody.
    for question, _ in questions[:10]:
        memory.search(question)
    times, found = [], 0
    for question, number in questions:
        started = time.perf_counter()
        answers = memory.search(question)
        times.append((time.perf_counter() - started) * 1_000)
        found += notes[number] in answers
    times.sort()
    # Last, and told apart from the first ones: what was asked about is as many as before.
    more = [f"{note}, as of {2_000 + number}" for number, note in enumerate(notes)]
    started = time.perf_counter()
    memory.add_all(more)
    adding_all = time.perf_counter() - started
    return {
        "memory": memory.name,
        "adds_per_second": len(notes) / adding,
        "adds_per_second_at_once": len(more) / adding_all,
        "search_p50_ms": statistics.median(times),
        "search_p95_ms": times[int(len(times) * 0.95)],
        "found": found / len(questions),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--harness", required=True, help="the program")
    parser.add_argument("--node-modules", type=Path, required=True)
    parser.add_argument("--json", action="store_true", help="one object a line")
    arguments = parser.parse_args()
    notes, questions = material()
    makers = [
        lambda folder: Harness(folder, arguments.harness),
        Mem0,
        Chroma,
        ChromaServer,
        lambda folder: Reference(folder, arguments.node_modules),
    ]
    rows = []
    for make in makers:
        with tempfile.TemporaryDirectory() as folder:
            memory = make(Path(folder))
            try:
                rows.append(measure(memory, notes, questions))
            finally:
                memory.close()
        if arguments.json:
            print(json.dumps(rows[-1]), flush=True)
    if arguments.json:
        return
    own = rows[0]
    print(f"{NOTES} notes, {QUESTIONS} questions; in brackets, how many times slower than harness\n")
    print(f"{'':36}{'adds/s':>16}{'all at once/s':>18}{'search p50 ms':>20}{'p95 ms':>10}{'found':>8}")
    for row in rows:
        slower = [own[key] / row[key] for key in ("adds_per_second", "adds_per_second_at_once")]
        slower.append(row["search_p50_ms"] / own["search_p50_ms"])
        adds = f"{row['adds_per_second']:.0f} ({slower[0]:.1f})"
        at_once = f"{row['adds_per_second_at_once']:.0f} ({slower[1]:.1f})"
        p50 = f"{row['search_p50_ms']:.2f} ({slower[2]:.1f})"
        print(f"{row['memory']:36}{adds:>16}{at_once:>18}{p50:>20}{row['search_p95_ms']:>10.2f}{row['found']:>8.0%}")


if __name__ == "__main__":
    main()
