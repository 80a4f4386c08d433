"""Grades all samples of a model at once: a hit or not for each, and the mean of the birds' shares of hits."""

from typing import Any


def grade_batch(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Hits of the samples, and ``mean_by_bird`` of the task."""
    hits = [float(sample["extracted_output"] == sample["item"]["bird"]) for sample in samples]
    by_bird: dict[str, list[float]] = {}
    for sample, hit in zip(samples, hits):  # noqa: B905 - the sandbox's zip has no `strict`
        by_bird.setdefault(sample["item"]["bird"], []).append(hit)
    shares = [sum(found) / len(found) for found in by_bird.values()]
    return {"samples": hits, "metrics": {"mean_by_bird": sum(shares) / len(shares)}}
