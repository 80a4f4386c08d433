"""Numbers equal those of the field's harnesses on the same inputs, as recorded by ``regenerate``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.scoring.embedding import ProtocolResult, Vectors
from assay.scoring.embedding.labels import Sampling, score_classification, score_multilabel
from assay.scoring.embedding.ranking import Query, score_ranking
from assay.scoring.embedding.sts import score_sts
from assay.scoring.overlap import ROUGE_METRICS, OverlapScorer
from assay.scoring.pooling import pool
from assay.scoring.scorers import scorer_for
from assay.scoring.scores import Scored, ScoredOutput

FOLDER = Path(__file__).parent
HARNESS = 1e-6
LIBRARY = 1e-9
MTEB = 1e-4

Recorded = Mapping[str, Any]


def recorded(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def embedding() -> Recorded:
    return recorded("embedding")


@pytest.fixture(scope="module")
def text() -> Recorded:
    return recorded("text")


def vectors(case: Recorded, texts: Sequence[str]) -> Vectors:
    return np.array([case["vectors"][text] for text in texts], dtype=np.float32)


def column(rows: Sequence[Recorded], name: str) -> list[Any]:
    return [row[name] for row in rows]


def check(result: ProtocolResult, case: Recorded, *, names: Mapping[str, str] | None = None) -> None:
    """Every metric that both have agrees; ours may be called otherwise there."""
    for metric, aggregate in result.metrics.items():
        theirs = (names or {}).get(metric, metric)
        assert theirs in case["expected"], metric
        assert aggregate.value == pytest.approx(case["expected"][theirs], abs=MTEB), metric


def test_sts(embedding: Recorded) -> None:
    case = embedding["sts"]
    first, second = (vectors(case, column(case["rows"], name)) for name in ("sentence1", "sentence2"))
    result = score_sts(first, second, np.array(column(case["rows"], "score"), dtype=np.float64))
    check(result, case)
    assert result.metrics["cosine_spearman"].value == pytest.approx(case["expected"]["main_score"], abs=MTEB)


@pytest.mark.parametrize("kind", ["classification", "binary_classification"])
def test_classification(embedding: Recorded, kind: str) -> None:
    case = embedding[kind]
    result = score_classification(
        vectors(case, column(case["train"], "text")),
        column(case["train"], "label"),
        vectors(case, column(case["rows"], "text")),
        column(case["rows"], "label"),
        sampling=Sampling(),
    )
    check(result, case)
    assert ("ap" in result.metrics) is (kind == "binary_classification")
    assert result.metrics["accuracy"].value == pytest.approx(case["expected"]["main_score"], abs=MTEB)


def test_multilabel_classification(embedding: Recorded) -> None:
    case = embedding["multilabel_classification"]
    result = score_multilabel(
        vectors(case, column(case["train"], "text")),
        column(case["train"], "label"),
        vectors(case, column(case["rows"], "text")),
        column(case["rows"], "label"),
        sampling=Sampling(),
    )
    check(result, case)


@pytest.mark.parametrize("kind", ["retrieval", "reranking"])
def test_ranking(embedding: Recorded, kind: str) -> None:
    case = embedding[kind]
    top_ranked: dict[str, list[str]] = case["top_ranked"] or {}
    queries = [Query(case["qrels"][name], top_ranked.get(name)) for name in column(case["queries"], "id")]
    result = score_ranking(
        queries,
        vectors(case, column(case["queries"], "text")),
        column(case["corpus"], "id"),
        vectors(case, column(case["corpus"], "text")),
    )
    # MTEB has no metric without a cutoff; its greatest one lies beyond the number of candidates.
    check(result, case, names={"map": "map_at_1000", "mrr": "mrr_at_1000"})


def scored(family: str, pair: Sequence[str]) -> Scored:
    found = scorer_for(family).score(ScoredOutput(pair[0], pair[0], pair[1]))
    assert isinstance(found, Scored)
    return found


def test_answers_by_the_harness(text: Recorded) -> None:
    for pair, expected in zip(text["pairs"], text["samples"], strict=True):
        qa = scored("qa", pair).scores
        assert qa == pytest.approx({name: expected[name] for name in ("exact_match", "f1")}, abs=HARNESS), pair
        rouge = scored("summarization", pair).scores
        for name in ("rouge1", "rouge2", "rougeLsum"):
            assert rouge[name] == pytest.approx(expected[name], abs=HARNESS), pair


def test_whole_tasks_by_the_harness(text: Recorded) -> None:
    pairs, expected = text["pairs"], text["expected"]
    counts = [scored("summarization", pair).statistics or {} for pair in pairs]
    for kind in ("bleu", "chrf"):
        value = pool(kind, np.array([count[kind] for count in counts])).value
        assert value == pytest.approx(expected[f"corpus_{kind}"], abs=HARNESS)
    exact = [scored("classification", pair).scores["exact_match"] for pair in pairs]
    assert np.mean(exact) == pytest.approx(expected["accuracy"], abs=HARNESS)
    assert np.mean(exact) == pytest.approx(expected["exact_match_normalized"], abs=HARNESS)


def test_answers_by_the_libraries(text: Recorded) -> None:
    for pair, expected in zip(text["pairs"], text["libraries"], strict=True):
        found = scored("summarization", pair).scores
        assert set(found) == {*ROUGE_METRICS, "bleu", "chrf"} == set(OverlapScorer().metric_ids)
        assert found == pytest.approx({name: expected[name] for name in found}, abs=LIBRARY), pair


def test_what_was_recorded_says_by_which_versions(embedding: Recorded, text: Recorded) -> None:
    assert {"mteb", "scikit-learn"} <= set(embedding["versions"])
    assert {"lm_eval", "sacrebleu", "rouge-score", "jiwer"} <= set(text["versions"])
