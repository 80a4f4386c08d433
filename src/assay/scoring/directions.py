"""Which way a metric is good."""

from __future__ import annotations

LOWER_IS_BETTER = frozenset({"wer", "cer", "corpus_wer", "corpus_cer"})
"""Of the built-in metrics. A task may state another direction for a metric of its own."""
