"""summarization: how much of the target's wording does the answer have? ROUGE, BLEU and chrF.

The numbers are those of the field's reference implementations, with the settings that papers mean by the bare names:

| metric | library | settings | scale |
|---|---|---|---|
| rouge1, rouge2, rougeL, rougeLsum | ``rouge-score`` | F-measure, no stemming; in Lsum a line is a sentence | 0 to 1 |
| bleu | ``sacrebleu`` | sentence BLEU: 13a tokens, exponential smoothing, effective order | 0 to 100 |
| chrf | ``sacrebleu`` | characters up to order 6, no words, β = 2 | 0 to 100 |
| corpus_bleu, corpus_chrf | ``sacrebleu`` | the formula over all samples' counts, see ``pooling`` | 0 to 100 |

Lin 2004 (ROUGE), Papineni et al. 2002 and Post 2018 (BLEU), Popović 2015 (chrF). ``rouge-score`` knows the letters
a–z and digits only: texts in other scripts have no ROUGE worth the name, and chrF is the one to read.

With several golds, each ROUGE takes its best over them, and BLEU and chrF take them as references of one sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from assay.scoring.scores import (
    NO_TARGET,
    AnswerFault,
    Score,
    Scored,
    ScoredOutput,
    Unscored,
    UnscoredReason,
    read_golds,
)

if TYPE_CHECKING:
    from rouge_score.rouge_scorer import RougeScorer

ROUGE_METRICS: Final = ("rouge1", "rouge2", "rougeL", "rougeLsum")
LONGEST_TEXT: Final = 20_000
"""Characters. Of a longer answer the beginning is read: time and memory of ROUGE-L grow with the product of both."""


@dataclass(frozen=True, slots=True)
class OverlapScorer:
    """ROUGE, sentence BLEU and sentence chrF, and the counts that corpus BLEU and chrF are made of."""

    @property
    def version(self) -> str:
        """See :class:`Scorer`."""
        return "summarization/1"

    @property
    def metric_ids(self) -> tuple[str, ...]:
        """See :class:`Scorer`."""
        return (*ROUGE_METRICS, "bleu", "chrf")

    @property
    def blocks(self) -> bool:
        """See :class:`Scorer`."""
        return True

    def score(self, output: ScoredOutput) -> Score:
        """See :class:`Scorer`."""
        golds = read_golds(output.target)
        if not golds:
            return NO_TARGET
        longest = max(map(len, golds))
        if longest > LONGEST_TEXT:
            message = f"The target has {longest:,} characters; at most {LONGEST_TEXT:,} are compared."
            return Unscored(UnscoredReason.INVALID_TARGET, message)
        answer = output.extracted_output
        text = "" if answer is None else answer[:LONGEST_TEXT]
        bleu, chrf = bleu_statistics(text, golds), chrf_statistics(text, golds)
        scores = {**rouge_scores(text, golds), "bleu": sentence_bleu(bleu), "chrf": chrf_score(chrf)}
        fault = AnswerFault.NOT_EXTRACTED if answer is None else None
        return Scored(scores, fault, statistics={"bleu": bleu, "chrf": chrf})


def rouge_scores(answer: str, golds: Sequence[str]) -> dict[str, float]:
    """F-measure of each ROUGE, the best over the golds."""
    scorer: Any = _rouge()
    found = scorer.score_multi(golds, answer)
    return {name: float(found[name].fmeasure) for name in ROUGE_METRICS}


def bleu_statistics(answer: str, golds: Sequence[str]) -> tuple[int, ...]:
    """Lengths of answer and closest gold, then matched and all n-grams of orders 1 to 4: ten counts."""
    return _libraries().bleu.count(answer, golds)


def sentence_bleu(statistics: Sequence[int]) -> float:
    """BLEU of one sample's counts: orders that the answer is too short for do not count."""
    return _libraries().sentence_bleu.of(statistics)


def corpus_bleu(statistics: Sequence[int]) -> float:
    """BLEU of counts summed over samples."""
    return _libraries().bleu.of(statistics)


def chrf_statistics(answer: str, golds: Sequence[str]) -> tuple[int, ...]:
    """N-grams of the answer, of the best gold, and those they share, for orders 1 to 6: eighteen counts."""
    return _libraries().chrf.count(answer, golds)


def chrf_score(statistics: Sequence[int]) -> float:
    """ChrF of counts, of one sample or summed over samples."""
    return _libraries().chrf.of(statistics)


@cache
def _rouge() -> RougeScorer:
    # Imported at first use: with what it brings along it takes a second and tens of megabytes.
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(list(ROUGE_METRICS), use_stemmer=False)


@cache
def _libraries() -> Any:
    from assay.scoring import sacre

    return sacre
