"""Embedding tasks, run for real: every text a sample, vectors scored by the protocol of the kind."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy import text
from tests.support.evals import MODEL, Evals, working

from assay.core.runs.types import Run, RunStatus, Sample, SampleStatus
from assay.core.suites.service import create_suite
from assay.core.suites.types import NewSuite
from assay.db.session import transaction

EMBEDDER = "simulator/embedding"
TOPICS = {
    "boats": "the ferry sails to the island at noon",
    "bread": "warm rye bread from the old bakery",
    "snow": "deep snow closed the mountain road",
}
WORDS = ("today", "again", "perhaps", "slowly", "at last", "for once", "as ever", "by chance")

Rows = Sequence[Mapping[str, Any]]


def labelled(prefix: str, count: int) -> list[dict[str, Any]]:
    return [
        {"text": f"{prefix} {number} {sentence} {WORDS[number % 8]}", "label": label}
        for number in range(count)
        for label, sentence in TOPICS.items()
    ]


def passages() -> list[dict[str, Any]]:
    return [{"_id": f"d{no}", "title": row["label"], "text": row["text"]} for no, row in enumerate(labelled("p", 4))]


def queries() -> list[dict[str, Any]]:
    return [{"_id": f"q{no}", "text": sentence} for no, sentence in enumerate(TOPICS.values())]


QRELS = [
    {"query-id": f"q{query}", "corpus-id": f"d{place}", "score": 1}
    for query in range(3)
    for place in range(query, 12, 3)
]
PAIRS = [
    {"sentence1": first, "sentence2": f"{second} {word}", "score": 5 if first == second else 1}
    for first in TOPICS.values()
    for second in TOPICS.values()
    for word in WORDS[:3]
]
TAGGED = [
    {"text": f"{first} and {second}", "label": sorted({one, two})}
    for one, first in TOPICS.items()
    for two, second in TOPICS.items()
]


async def embedding_suite(evals: Evals, rows: Rows, kind: str, **parts: Any) -> UUID:
    """A suite of one task; lists of rows among the parts become datasets."""

    async def dataset(found: Rows) -> dict[str, str]:
        file_id = await evals.upload("\n".join(json.dumps(row) for row in found).encode())
        return {"file_id": f"file_{file_id.hex}"}

    config = {name: await dataset(part) if name.endswith("_dataset") else part for name, part in parts.items()}
    task = {"id": "t", "type": "embedding", "dataset": await dataset(rows), "embedding": {"kind": kind, **config}}
    async with transaction(evals.runtime.sessions) as session:
        new = NewSuite(name="suite", manifest={"tasks": [task]})
        suite = await create_suite(session, evals.principal, store=evals.runtime.files, new=new)
    return suite.id


async def carried_out(evals: Evals, suite_id: UUID, **config: Any) -> tuple[Run, list[Sample], dict[str, Any]]:
    async with working(evals):
        run = await evals.finished(suite_id, models=[EMBEDDER], **config)
    assert run.status is RunStatus.COMPLETED, run.error
    assert run.metrics is not None
    await evals.check_counts(run.id)
    return run, await evals.samples(run.id), run.metrics["by_task"]["t"]


async def test_retrieval(evals: Evals) -> None:
    suite = await embedding_suite(
        evals, queries(), "retrieval", corpus_dataset=passages(), qrels_dataset=QRELS, k_values=[1, 5]
    )
    run, samples, task = await carried_out(evals, suite)
    assert run.total == 3 + 12
    assert task["metrics"]["ndcg_at_5"] == pytest.approx(1.0)
    assert task["intervals"]["ndcg_at_5"]["n"] == 3
    assert task["intervals"]["ndcg_at_5"]["unscored"] == 0
    assert run.metrics is not None
    assert run.metrics["overall"]["recall_at_1"] == pytest.approx(0.25)
    query, passage = samples[0], samples[3]
    assert query.prompt == TOPICS["boats"]
    assert json.loads(query.target or "") == {f"d{place}": 1 for place in (0, 3, 6, 9)}
    assert query.scores["hit_rate_at_1"] == 1
    assert passage.prompt.startswith("boats p 0 the ferry")
    assert (passage.target, passage.scores, passage.status) == (None, {}, SampleStatus.COMPLETED)
    assert sum(sample.input_tokens or 0 for sample in samples) == run.tokens.input


async def test_reranking(evals: Evals) -> None:
    offered = [{"query-id": f"q{no}", "corpus-ids": ["d0", "d1", "d2", "d5"]} for no in range(3)]
    suite = await embedding_suite(
        evals,
        queries(),
        "reranking",
        corpus_dataset=passages(),
        qrels_dataset=[row for row in QRELS if row["corpus-id"] in {"d0", "d1", "d2", "d5"}],
        top_ranked_dataset=offered,
    )
    _, samples, task = await carried_out(evals, suite)
    assert task["metrics"]["map"] == pytest.approx(1.0)
    assert samples[0].scores["mrr"] == 1


async def test_sts(evals: Evals) -> None:
    run, samples, task = await carried_out(evals, await embedding_suite(evals, PAIRS, "sts"))
    assert run.total == len(PAIRS)
    assert task["metrics"]["cosine_spearman"] > 0.7
    assert task["intervals"]["cosine_spearman"]["method"] == "fisher_z"
    assert samples[0].prompt == f"{PAIRS[0]['sentence1']}\n{PAIRS[0]['sentence2']}"
    assert samples[0].scores["cosine_similarity"] > samples[3].scores["cosine_similarity"]


async def test_classification(evals: Evals) -> None:
    suite = await embedding_suite(evals, labelled("e", 5), "classification", train_dataset=labelled("t", 8))
    run, samples, task = await carried_out(evals, suite, max_samples_per_task=12)
    assert run.total == 12 + 24
    assert task["metrics"]["accuracy"] > 0.9
    assert task["intervals"]["f1"]["method"] in {"bootstrap_percentile", "none"}
    assert {"accuracy"} == set(samples[0].scores)
    assert samples[0].target == "boats"


async def test_multilabel_classification(evals: Evals) -> None:
    suite = await embedding_suite(evals, TAGGED, "multilabel_classification", train_dataset=TAGGED * 2)
    _, samples, task = await carried_out(evals, suite)
    assert task["metrics"]["lrap"] > 0.5
    assert set(samples[0].scores) == {"lrap", "accuracy", "hamming"}


async def test_vectors_are_kept_and_come_from_the_cache_again(evals: Evals) -> None:
    suite = await embedding_suite(evals, PAIRS, "sts")
    async with working(evals):
        runs = [await evals.finished(suite, models=[MODEL]) for _ in range(2)]
    asked = evals.models.stats.requests
    assert 0 < asked < len(PAIRS)
    vectors = [await stored_vectors(evals, run.id) for run in runs]
    assert vectors[0].shape == (len(PAIRS), 2 * evals.models.behaviour.embedding_dimensions)
    np.testing.assert_array_equal(vectors[0], vectors[1])
    assert runs[0].metrics is not None
    assert runs[1].metrics is not None
    assert runs[0].metrics["overall"] == runs[1].metrics["overall"]


async def stored_vectors(evals: Evals, run_id: UUID) -> Any:
    query = text("SELECT vectors FROM run_samples WHERE run_id = :run_id ORDER BY sample_index")
    async with evals.runtime.sessions() as session:
        rows = (await session.scalars(query, {"run_id": run_id})).all()
    return np.stack([np.frombuffer(row, dtype="<f4") for row in rows])


async def test_a_text_that_is_refused_leaves_a_hole_until_it_is_run_again(evals: Evals) -> None:
    suite = await embedding_suite(evals, queries(), "retrieval", corpus_dataset=passages(), qrels_dataset=QRELS)
    refused = f"boats {passages()[0]['text']}"
    evals.models.behaviour.refused.add(refused)
    async with working(evals):
        run = await evals.finished(suite, models=[MODEL])
        failed = await evals.samples(run.id, status=SampleStatus.FAILED)
        evals.models.behaviour.refused.clear()
        await evals.rerun_failed(run.id)
        again = await evals.until(run.id)
    assert (run.status, run.failed) == (RunStatus.COMPLETED, 1)
    assert [sample.prompt for sample in failed] == [refused]
    assert failed[0].error is not None
    assert failed[0].error["code"] == "provider_rejected_request"
    assert run.metrics is not None
    assert run.metrics["by_task"]["t"]["metrics"]["recall_at_1000"] == pytest.approx((3 / 4 + 1 + 1) / 3)
    assert again.failed == 0
    assert again.metrics is not None
    assert again.metrics["by_task"]["t"]["metrics"]["recall_at_1000"] == 1
    assert [sample.scores["recall_at_1000"] for sample in (await evals.samples(run.id))[:3]] == [1, 1, 1]


async def test_what_cannot_be_scored_fails_with_the_reason(evals: Evals) -> None:
    one_label = [{"text": f"text {number}", "label": "only"} for number in range(4)]
    suite = await embedding_suite(evals, one_label, "classification", train_dataset=one_label)
    run, samples, _ = await carried_out(evals, suite)
    assert (run.completed, run.failed) == (4, 4)
    assert samples[0].error == {
        "code": "not_scorable",
        "message": "a classifier needs training texts of at least two labels",
    }


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"max_texts": 14}, "15 texts; embedding.max_texts allows 14"),
        ({"corpus_dataset": [{"_id": "d", "text": "a"}, {"_id": "d", "text": "b"}]}, "row 2: the id 'd' occurs twice"),
        ({"qrels_dataset": [{"query-id": "q0", "corpus-id": "d0", "score": 0.5}]}, "whole numbers, not 0.5"),
        ({"qrels_dataset": [{"query-id": "q0", "corpus-id": "d0"}]}, "no value in the column 'score'"),
        ({"text_column": "missing"}, "no value in the column 'missing' (columns: _id, text)"),
    ],
)
async def test_faulty_datasets_end_the_run(evals: Evals, parts: dict[str, Any], says: str) -> None:
    datasets = {"corpus_dataset": passages(), "qrels_dataset": QRELS, **parts}
    suite = await embedding_suite(evals, queries(), "retrieval", **datasets)
    async with working(evals):
        run = await evals.finished(suite, models=[EMBEDDER])
    assert run.status is RunStatus.FAILED
    assert run.error is not None
    assert says in run.error["message"]
    assert run.error["task_id"] == "t"
