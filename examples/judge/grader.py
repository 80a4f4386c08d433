"""Asks a judge whether an answer names the cause."""

from typing import Any


def grade(sample: dict[str, Any], item: dict[str, Any], ctx: Any) -> dict[str, Any]:
    """1 when the judge says yes, 0 when it says no; anything else is no verdict and fails the sample."""
    question = (
        f"Does the answer name the cause? Say yes or no.\nCause: {item['cause']}\nAnswer: {sample['output_text']}"
    )
    verdict = ctx.responses_create(model="auto", input=question)["output_text"].strip().lower().rstrip(".")
    if verdict not in ("yes", "no"):
        raise ValueError(f"the judge said neither yes nor no: {verdict[:100]}")
    return {"scores": {"accepted": float(verdict == "yes")}, "judge": {"verdict": verdict}}
