"""``sacrebleu`` by its counts, so that a sample's counts can be kept and summed up later.

The library makes a score in two steps, counts of a segment and a formula over counts, but its public functions do both
at once. Loaded at first use, by ``overlap`` alone: it takes a fifth of a second.
"""

from __future__ import annotations

from collections.abc import Sequence

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF


class _CountedBleu(BLEU):
    def count(self, answer: str, golds: Sequence[str]) -> tuple[int, ...]:
        """Counts of one sample, see ``overlap.bleu_statistics``."""
        (counts,) = self._extract_corpus_statistics([answer], [[gold] for gold in golds])
        return tuple(int(count) for count in counts)

    def of(self, statistics: Sequence[int]) -> float:
        """The formula."""
        return float(self._compute_score_from_stats(list(statistics)).score)


class _CountedChrf(CHRF):
    def count(self, answer: str, golds: Sequence[str]) -> tuple[int, ...]:
        """Counts of one sample, see ``overlap.chrf_statistics``."""
        (counts,) = self._extract_corpus_statistics([answer], [[gold] for gold in golds])
        return tuple(int(count) for count in counts)

    def of(self, statistics: Sequence[int]) -> float:
        """The formula."""
        return float(self._compute_f_score(list(statistics)))


bleu = _CountedBleu()
sentence_bleu = _CountedBleu(effective_order=True)
chrf = _CountedChrf()
