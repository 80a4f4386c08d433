"""Compares two lists of things: what was needed, and what was named."""

from typing import Any


def grade(sample: dict[str, Any], item: dict[str, Any]) -> dict[str, float]:
    """Recall and precision of the named things."""
    named = things(sample["output_text"].split(","))
    needed = things(item["needed"])
    hits = [thing for thing in named if thing in needed]
    return {"recall": len(hits) / len(needed), "precision": len(hits) / len(named) if named else 0.0}


def things(names: list[str]) -> list[str]:
    """The names without case, blanks and repetitions."""
    found: list[str] = []
    for name in names:
        thing = name.strip().lower()
        if thing and thing not in found:
            found.append(thing)
    return found
