"""Retrieval over 50,000 texts: embedding them at a mock endpoint, and scoring their vectors.

    uv run python -m benchmarks.retrieval

The vectors that are scored are drawn at random, with a seed. ``--embed`` asks a mock endpoint for as many vectors
instead, and ``--mteb`` scores the same vectors by MTEB's evaluator; run that where MTEB is installed (``make parity``).
``--run`` carries out a whole run in one worker, from laying out to artifacts, with vectors from the mock endpoint. Its
memory is the greatest of the worker and all its children, sampled four times a second.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import resource
import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

CORPUS = 49_000
QUERIES = 1_000
SEED = 7


def make_vectors(count: int, dimensions: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(count, dimensions)).astype(np.float32)


def make_relevance() -> dict[str, dict[str, int]]:
    draw = np.random.default_rng(SEED)
    return {f"q{no}": {f"d{place}": 1 for place in draw.integers(0, CORPUS, size=5)} for no in range(QUERIES)}


def score_here(dimensions: int) -> dict[str, float | None]:
    from assay.scoring.embedding.ranking import Query, score_ranking

    relevance = make_relevance()
    result = score_ranking(
        [Query(relevance[f"q{no}"]) for no in range(QUERIES)],
        make_vectors(QUERIES, dimensions, SEED + 1),
        [f"d{no}" for no in range(CORPUS)],
        make_vectors(CORPUS, dimensions, SEED),
    )
    return {name: result.metrics[name].value for name in ("ndcg_at_10", "recall_at_1000", "map_at_1000")}


def score_by_mteb(dimensions: int) -> dict[str, float | None]:
    parity: Any = importlib.import_module("tests.scoring.parity.regenerate")
    queries, corpus = make_vectors(QUERIES, dimensions, SEED + 1), make_vectors(CORPUS, dimensions, SEED)
    vectors = {f"query {no}": row for no, row in enumerate(queries)}
    vectors |= {f"document {no}": row for no, row in enumerate(corpus)}
    split = {
        "corpus": parity.rows_of(id=[f"d{n}" for n in range(CORPUS)], text=[f"document {n}" for n in range(CORPUS)]),
        "queries": parity.rows_of(id=[f"q{n}" for n in range(QUERIES)], text=[f"query {n}" for n in range(QUERIES)]),
        "relevant_docs": make_relevance(),
        "top_ranked": None,
    }
    found = parity.evaluate("retrieval", "MockRetrievalTask", {"default": {"test": split}}, vectors)
    return {name: found[name] for name in ("ndcg_at_10", "recall_at_1000", "map_at_1000")}


async def embed_everything(dimensions: int) -> int:
    """Ask the mock endpoint, in a process of its own, for the vectors of 50,000 texts; returns how many came."""
    from benchmarks.rig import model_server

    from assay.gateway.catalog import Catalog
    from assay.gateway.config import built_in_part, environment_part
    from assay.gateway.gateway import Gateway, open_session
    from assay.gateway.simulator.provider import Simulator
    from assay.settings import ProviderSettings

    async with model_server(latency_seconds=0.02) as url:
        settings = ProviderSettings(openai_api_key=None, openai_base_url=url)
        catalog = Catalog([built_in_part(), environment_part(settings)])
        async with Gateway(catalog, open_session(), simulator=Simulator()) as gateway:
            texts = [f"text {number} of the corpus" for number in range(CORPUS + QUERIES)]
            reply = await gateway.embed("openai/mock", texts, dimensions=dimensions)
            return len(reply.vectors)


def make_texts(kind: str, count: int) -> list[dict[str, str]]:
    """Passages of a hundred words, ten in a question."""
    draw = np.random.default_rng(SEED)
    words = np.array([f"word{number}" for number in range(20_000)])
    length = 100 if kind == "d" else 10
    return [
        {"_id": f"{kind}{number}", "text": " ".join(words[draw.integers(0, len(words), size=length)])}
        for number in range(count)
    ]


async def run_whole(dimensions: int) -> dict[str, Any]:
    """A run through API and worker; returns its phases and the worker's memory."""
    from benchmarks.rig import Client, Role, model_server, node, services, throwaway_home

    async with (
        throwaway_home() as home,
        services(home) as addresses,
        model_server(latency_seconds=0.02, dimensions=dimensions) as model_url,
    ):
        settings = {**addresses, "OPENAI_API_KEY": "sk-x", "OPENAI_BASE_URL": model_url}
        async with (
            node(Role.API, home, settings=settings) as api,
            node(Role.WORKER, home, settings=settings) as worker,
            Client(api.url) as client,
        ):
            suite_id = await _create_suite(client)
            watching = asyncio.create_task(_watch(worker))
            started = time.perf_counter()
            run_id = await client.run_to_end({"suite_id": suite_id, "models": ["openai/mock"]}, seconds=1500)
            seconds = time.perf_counter() - started
            watching.cancel()
            run = await client.get(f"/evals/runs/{run_id}")
            phases = await _phases(addresses["ASSAY_DATABASE_URL"], run_id)
            return {
                "seconds": round(seconds, 1),
                "worker and children, MiB": round(_greatest[0]),
                "worker alone, MiB": round(worker.peak()),
                "samples": run["request_counts"],
                **phases,
            }


_greatest = [0.0]


async def _watch(worker: Any) -> None:
    while True:
        _greatest[0] = max(_greatest[0], (await asyncio.to_thread(worker.memory))[0])
        await asyncio.sleep(0.25)


async def _create_suite(client: Any) -> str:
    judged = [
        {"query-id": query, "corpus-id": place, "score": score}
        for query, places in make_relevance().items()
        for place, score in places.items()
    ]
    queries, corpus = make_texts("q", QUERIES), make_texts("d", CORPUS)
    files = {"queries": queries, "corpus": corpus, "qrels": judged}
    ids = {name: await client.upload(rows) for name, rows in files.items()}
    embedding = {
        "kind": "retrieval",
        "corpus_dataset": {"file_id": ids["corpus"]},
        "qrels_dataset": {"file_id": ids["qrels"]},
    }
    task = {"id": "t", "type": "embedding", "dataset": {"file_id": ids["queries"]}, "embedding": embedding}
    return (await client.post("/evals/suites", {"name": "retrieval", "manifest": {"tasks": [task]}}))["id"]


async def _phases(database_url: str, run_id: str) -> dict[str, float]:
    from benchmarks.eval_run import read_phases

    found = await read_phases(database_url, run_id)
    return {name: round(found[name], 1) for name in ("prepare", "execution", "finish")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dimensions", type=int, default=768)
    parser.add_argument("--embed", action="store_true", help="only ask a mock endpoint for the vectors")
    parser.add_argument("--run", action="store_true", help="carry out a whole run in one worker")
    parser.add_argument("--mteb", action="store_true", help="score by MTEB's evaluator")
    arguments = parser.parse_args()
    start = time.perf_counter()
    if arguments.run:
        found: object = asyncio.run(run_whole(arguments.dimensions))
    elif arguments.embed:
        found = asyncio.run(embed_everything(arguments.dimensions))
    else:
        found = score_by_mteb(arguments.dimensions) if arguments.mteb else score_here(arguments.dimensions)
    seconds = time.perf_counter() - start
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if arguments.run:
        sys.stdout.write(f"run: {arguments.dimensions} dimensions, {found}\n")
        return
    name = "embedded" if arguments.embed else "MTEB" if arguments.mteb else "scored"
    sys.stdout.write(f"{name}: {arguments.dimensions} dimensions, {seconds:.1f} s, {resident:,.0f} MB, {found}\n")


if __name__ == "__main__":
    main()
