"""ROUGE, BLEU and chrF are the reference libraries' numbers, one by one and pooled."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from assay.scoring.aggregation import IntervalMethod
from assay.scoring.overlap import (
    LONGEST_TEXT,
    ROUGE_METRICS,
    OverlapScorer,
    bleu_statistics,
    chrf_score,
    chrf_statistics,
    rouge_scores,
    sentence_bleu,
)
from assay.scoring.pooling import POOLED, pool, pooled_metric_ids
from assay.scoring.scores import AnswerFault, Scored, ScoredOutput, Unscored, UnscoredReason

PAIRS = [
    ("The ferry leaves at seven from pier three.", ["The ferry sails from pier three at seven."]),
    (
        "The ferry leaves at seven.\nIt is free.",
        ["It sails at seven.\nBicycles are free.", "It sails at seven."],
    ),
    ("Yes", ["Yes, it does."]),
    ("", ["Nothing was said."]),
    ("Größe und Übermaß, 3,5 %!", ["Übergröße und Maß: 3.5 %"]),
    ("今日は良い天気です", ["今日はとても良い天気ですね"]),
]
texts = st.text(alphabet="ab c.,\n1é", max_size=40)


def score(answer: str | None, golds: list[str]) -> Scored:
    found = OverlapScorer().score(ScoredOutput(answer or "", answer, json.dumps(golds)))
    assert isinstance(found, Scored)
    return found


@pytest.mark.parametrize(("answer", "golds"), PAIRS)
def test_a_sample_has_the_libraries_numbers(answer: str, golds: list[str]) -> None:
    scores = score(answer, golds).scores
    library: Any = RougeScorer(list(ROUGE_METRICS))
    rouge = library.score_multi(golds, answer)
    assert [scores[name] for name in ROUGE_METRICS] == [rouge[name].fmeasure for name in ROUGE_METRICS]
    assert scores["bleu"] == pytest.approx(sacrebleu.sentence_bleu(answer, golds).score, abs=1e-9)
    assert scores["chrf"] == pytest.approx(sacrebleu.sentence_chrf(answer, golds).score, abs=1e-9)


@settings(max_examples=60)
@given(answer=texts, golds=st.lists(texts.filter(str.strip), min_size=1, max_size=3))
def test_any_texts_have_the_libraries_numbers(answer: str, golds: list[str]) -> None:
    bleu, chrf = bleu_statistics(answer, golds), chrf_statistics(answer, golds)
    assert sentence_bleu(bleu) == pytest.approx(sacrebleu.sentence_bleu(answer, golds).score, abs=1e-9)
    assert chrf_score(chrf) == pytest.approx(sacrebleu.sentence_chrf(answer, golds).score, abs=1e-9)
    assert all(0 <= value <= 1 for value in rouge_scores(answer, golds).values())


def test_the_corpus_has_the_librarys_numbers() -> None:
    pairs = [(answer, golds[:1]) for answer, golds in PAIRS]
    answers, references = [answer for answer, _ in pairs], [[golds[0] for _, golds in pairs]]
    bleu = np.array([bleu_statistics(*pair) for pair in pairs])
    chrf = np.array([chrf_statistics(*pair) for pair in pairs])
    library: Any = sacrebleu
    assert pool("bleu", bleu).value == pytest.approx(library.corpus_bleu(answers, references).score, abs=1e-9)
    assert pool("chrf", chrf).value == pytest.approx(library.corpus_chrf(answers, references).score, abs=1e-9)


def test_an_answer_that_was_not_found_counts_as_empty() -> None:
    found = score(None, ["A gold."])
    assert found.fault is AnswerFault.NOT_EXTRACTED
    assert found.statistics == score("", ["A gold."]).statistics


def test_a_target_that_is_too_long_is_unscored() -> None:
    found = OverlapScorer().score(ScoredOutput("x", "x", "x" * (LONGEST_TEXT + 1)))
    assert isinstance(found, Unscored)
    assert found.reason is UnscoredReason.INVALID_TARGET


def test_of_a_long_answer_the_beginning_is_compared() -> None:
    assert score("word " * 10_000, ["word"]).scores == score(("word " * 10_000)[:LONGEST_TEXT], ["word"]).scores


def test_the_interval_holds_the_value_and_never_changes() -> None:
    draw = random.Random(4)
    words = ["the", "ferry", "sails", "from", "pier", "three", "at", "seven", "and", "returns", "to", "town"]
    pairs = [(" ".join(draw.sample(words, 7)), [" ".join(draw.sample(words, 8))]) for _ in range(60)]
    counts = np.array([bleu_statistics(*pair) for pair in pairs])
    first, again = pool("bleu", counts, unscored=2), pool("bleu", counts, unscored=2)
    assert first == again
    assert first.method is IntervalMethod.BOOTSTRAP_PERCENTILE
    assert (first.n, first.unscored) == (60, 2)
    assert first.low is not None
    assert first.high is not None
    assert first.value is not None
    assert first.low < first.value < first.high


@pytest.mark.parametrize("kind", list(POOLED))
def test_few_samples_have_no_interval(kind: str) -> None:
    none = np.empty((0, POOLED[kind].width), dtype=np.int64)
    assert (pool(kind, none).value, pool(kind, none).n) == (None, 0)
    one = pool(kind, np.ones((1, POOLED[kind].width), dtype=np.int64))
    assert (one.n, one.low, one.method) == (1, None, IntervalMethod.NONE)


def test_counts_of_another_width_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        pool("bleu", np.ones((3, 9), dtype=np.int64))


def test_only_some_task_types_pool() -> None:
    assert pooled_metric_ids("summarization") == ("corpus_bleu", "corpus_chrf")
    assert pooled_metric_ids("qa") == ()
