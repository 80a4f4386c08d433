"""Grades short answers: right when the target, or another name for it, stands in the answer as a whole word."""

import re
from typing import Any


def grade(sample: dict[str, Any], item: dict[str, Any]) -> dict[str, float]:
    """Score one answer."""
    said = plain(sample["output_text"])
    accepted = [plain(name) for name in [item["answer"], *item["aliases"]]]
    named = any(f" {name} " in f" {said} " for name in accepted)
    return {"correct": float(named), "brief": float(said in accepted)}


def plain(text: str) -> str:
    """Lower case, without articles and without punctuation other than that inside numbers and times."""
    text = re.sub(r"[^\w.,:%]+", " ", text.lower())
    text = re.sub(r"[.,:]+( |$)", " ", text)
    words = [word for word in text.split() if word not in ("a", "an", "the")]
    return " ".join(words)
