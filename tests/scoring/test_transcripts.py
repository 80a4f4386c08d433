"""Word and character error rates are jiwer's, on texts that are normalized alike."""

from __future__ import annotations

import jiwer
import numpy as np
import pytest

from assay.scoring.pooling import pool
from assay.scoring.scores import Scored, ScoredOutput, Unscored
from assay.scoring.transcripts import TranscriptScorer, normalize_transcript


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("It’s 3.5 kilometres, they said!", "it's 3.5 kilometres they said"),
        ("  Well-known — “quoted”\n", "well known quoted"),
        ("1,200 people; 'tis so", "1,200 people tis so"),
        ("ﬁne ＡＢＣ", "fine abc"),
        ("…!?", ""),
    ],
)
def test_normalization(text: str, normalized: str) -> None:
    assert normalize_transcript(text) == normalized


PAIRS = [
    ("the ferry leaves at seven", "The ferry leaves at seven."),
    ("a ferry leaves seven", "The ferry leaves at seven."),
    ("", "Nothing heard"),
    ("one two three four five six", "one"),
]


def scored(answer: str, target: str) -> Scored:
    found = TranscriptScorer().score(ScoredOutput(answer, answer, target))
    assert isinstance(found, Scored)
    return found


@pytest.mark.parametrize(("answer", "target"), PAIRS)
def test_rates_are_the_librarys(answer: str, target: str) -> None:
    heard, said = normalize_transcript(answer), normalize_transcript(target)
    scores = scored(answer, target).scores
    assert scores["wer"] == pytest.approx(jiwer.wer(said, heard), abs=1e-9)
    assert scores["cer"] == pytest.approx(jiwer.cer(said, heard), abs=1e-9)


def test_the_corpus_has_the_librarys_rates() -> None:
    heard = [normalize_transcript(answer) for answer, _ in PAIRS]
    said = [normalize_transcript(target) for _, target in PAIRS]
    counts = [scored(*pair).statistics or {} for pair in PAIRS]
    assert pool("wer", np.array([one["wer"] for one in counts])).value == pytest.approx(
        jiwer.wer(said, heard), abs=1e-9
    )
    assert pool("cer", np.array([one["cer"] for one in counts])).value == pytest.approx(
        jiwer.cer(said, heard), abs=1e-9
    )


@pytest.mark.parametrize("target", [None, " ", "?!"])
def test_nothing_said_is_unscored(target: str | None) -> None:
    assert isinstance(TranscriptScorer().score(ScoredOutput("x", "x", target)), Unscored)
