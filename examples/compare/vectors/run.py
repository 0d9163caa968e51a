#!/usr/bin/env python3
"""Compares the vector index with hnswlib, faiss, usearch and sqlite-vec on the same data.

One command does it all:

    python3 examples/compare/vectors/run.py

or a part of it, named `10000`, `100000`, `self`, `filters` (with opening and inserts, at 100,000) or `1000000` (cells,
on clustered and on low-rank data, beside the exact scan alone: a graph of so many takes an hour to build).

It makes a virtual environment in a temporary folder, installs the peers from the package
index that pip is configured for, builds the Rust example `vector_bench`, lets it write the data and
measure itself, and measures the others on that data. Times are CPU times of one thread, medians
over queries, k = 10, 384 dimensions. The index is measured before and after the others, so that a
machine that changes its mind in between is noticed.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

PACKAGES = ["numpy", "hnswlib", "faiss-cpu", "usearch", "sqlite-vec", "apsw"]
DIMENSIONS = 384
K = 10
REPOSITORY = Path(__file__).resolve().parents[3]


def main():
    if "--measure" in sys.argv:
        folder, *parts = sys.argv[sys.argv.index("--measure") + 1 :]
        for part in parts or ["10000", "100000", "filters", "self", "1000000"]:
            if part == "self":
                self_recalls(folder)
            elif part == "filters":
                alone("exact", "100000")
            elif part == "1000000":
                alone("cells", "clustered", part)
                alone("cells", "low-rank", part)
            else:
                searches(folder, int(part))
        return
    # A folder of its own outside the repository; given, it is used again without installing.
    with tempfile.TemporaryDirectory() as temporary:
        environment = Path(os.environ.get("VECTOR_PEERS_ENV", f"{temporary}/environment"))
        python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        if not python.exists():
            venv.create(environment, with_pip=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        bench = os.environ.get("VECTOR_BENCH") or build()
        variables = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
        variables["VECTOR_BENCH"] = str(bench)
        command = [python, __file__, "--measure", temporary, *sys.argv[1:]]
        subprocess.run(command, check=True, env=variables)


def build():
    command = ["cargo", "build", "--release", "-p", "harness-index", "--example", "vector_bench"]
    output = subprocess.run(
        [*command, "--message-format", "json"], check=True, cwd=REPOSITORY, stdout=subprocess.PIPE
    ).stdout
    for line in output.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "vector_bench":
            return message["executable"]
    raise SystemExit("cargo built no vector_bench")


def ours(folder, kind, count):
    command = [os.environ["VECTOR_BENCH"], "peers", kind, str(count), folder]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return json.loads(output)


def alone(*arguments):
    """Measures the index and no other; it prints what it finds."""
    sys.stdout.flush()
    subprocess.run([os.environ["VECTOR_BENCH"], *arguments], check=True)
    print()


def searches(folder, count):
    import numpy as np

    first = ours(folder, "clustered", count)
    vectors, queries = load(np, folder, "vectors"), load(np, folder, "queries")
    truth = exact(np, vectors, queries)
    results = {}
    for name, engine in engines(count):
        search, insert_s = engine(np, vectors)
        results[name] = (*timed(search, queries, truth), count / insert_s)
    second = ours(folder, "clustered", count)
    own = statistics.mean([first["p50_ms"], second["p50_ms"]])
    print(f"{count} clustered vectors: median CPU ms, recall@10 against single precision")
    head = f"  {'engine':24} {'ms':>8} {'recall':>7} {'ours is':>16} {'inserts/CPU s':>14}"
    print(head)
    rate = first["inserts_per_s"]
    spread = f"({first['p50_ms']:.3f}, {second['p50_ms']:.3f})"
    print(f"  {'harness, exact':24} {own:8.3f} {first['recall']:7.4f} {spread:>16} {rate:14.0f}")
    for name, (ms, recall, rate) in results.items():
        ratio = f"{own / ms:.3f} of it"
        print(f"  {name:24} {ms:8.3f} {recall:7.4f} {ratio:>16} {rate:14.0f}")
    print()


def self_recalls(folder):
    import numpy as np

    print("Self-recall@10: share of stored vectors that their own query brings back.\n")
    for kind, count in [("sessions", 10_000), ("duplicates", 2_000)]:
        own = ours(folder, kind, count)
        vectors = load(np, folder, "vectors")
        print(f"{kind}, {count} vectors")
        print(f"  {'harness, exact':24} {own['self_recall']:.4f}")
        print(f"  {'harness, cells':24} {own['self_recall_cells']:.4f}")
        for name, engine in engines(10_000):
            if name in ("sqlite-vec", "faiss Flat"):
                continue
            search, _ = engine(np, vectors)
            print(f"  {name:24} {self_recall(search, vectors):.4f}")
        print()


def load(np, folder, name):
    return np.fromfile(f"{folder}/{name}.f32", dtype="<f4").reshape(-1, DIMENSIONS)


def exact(np, vectors, queries):
    return [set(np.argpartition(-(vectors @ query), K)[:K].tolist()) for query in queries]


def timed(search, queries, truth):
    times, found = [], 0
    for query in queries:
        search(query)
    for query, expected in zip(queries, truth):
        start = time.thread_time_ns()
        answer = search(query)
        times.append(time.thread_time_ns() - start)
        found += len(expected.intersection(answer))
    return statistics.median(times) / 1e6, found / (K * len(queries))


def self_recall(search, vectors):
    """Identical vectors stand for one another: equal contents cannot be told apart by a vector."""
    same = {}
    for number, vector in enumerate(vectors):
        same.setdefault(vector.tobytes(), set()).add(number)
    missing = 0
    for vector in vectors:
        if same[vector.tobytes()].isdisjoint(int(number) for number in search(vector)):
            missing += 1
    return 1 - missing / len(vectors)


def cpu(work):
    start = time.thread_time()
    result = work()
    return result, time.thread_time() - start


def engines(count):
    yield "faiss Flat", faiss_flat
    yield "sqlite-vec", sqlite_vec
    # A graph of 100,000 takes minutes to build and is not what the bounds at that size are about.
    if count <= 10_000:
        yield "hnswlib, ef 64", hnswlib
        yield "faiss HNSW, ef 64", faiss_hnsw
        yield "usearch, ef 64", usearch


def faiss_flat(np, vectors):
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.IndexFlatIP(DIMENSIONS)
    _, seconds = cpu(lambda: index.add(vectors))
    return lambda query: index.search(query[None, :], K)[1][0].tolist(), seconds


def faiss_hnsw(np, vectors):
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.IndexHNSWFlat(DIMENSIONS, 16, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 200
    index.hnsw.efSearch = 64
    _, seconds = cpu(lambda: index.add(vectors))
    return lambda query: index.search(query[None, :], K)[1][0].tolist(), seconds


def hnswlib(np, vectors):
    import hnswlib

    index = hnswlib.Index(space="ip", dim=DIMENSIONS)
    index.init_index(max_elements=len(vectors), M=16, ef_construction=200, random_seed=1)
    index.set_num_threads(1)
    index.set_ef(64)
    _, seconds = cpu(lambda: index.add_items(vectors, num_threads=1))
    return lambda query: index.knn_query(query, k=K, num_threads=1)[0][0].tolist(), seconds


def usearch(np, vectors):
    from usearch.index import Index

    index = Index(
        ndim=DIMENSIONS, metric="ip", dtype="f32", connectivity=16, expansion_add=200, expansion_search=64
    )
    keys = np.arange(len(vectors))
    _, seconds = cpu(lambda: index.add(keys, vectors, threads=1))
    return lambda query: index.search(query, K, threads=1).keys.tolist(), seconds


def sqlite_vec(np, vectors):
    # Not every Python can load SQLite extensions; apsw brings an SQLite that can.
    import apsw
    import sqlite_vec

    database = apsw.Connection(":memory:")
    database.enable_load_extension(True)
    database.load_extension(sqlite_vec.loadable_path())
    database.execute(f"create virtual table v using vec0(e float[{DIMENSIONS}] distance_metric=cosine)")
    rows = ((number, vector.tobytes()) for number, vector in enumerate(vectors))
    insert = "insert into v(rowid, e) values (?, ?)"

    def fill():
        with database:
            database.executemany(insert, rows)

    _, seconds = cpu(fill)
    select = f"select rowid from v where e match ? and k = {K} order by distance"
    return lambda query: [row for (row,) in database.execute(select, (query.tobytes(),))], seconds


if __name__ == "__main__":
    main()
