"""A math comparison that fails inside of the library, in a stored run."""

from __future__ import annotations

from tests.support.evals import Evals, working

from assay.core.runs.types import SampleStatus

DEEP = "$" + r"\sqrt{1+" * 60 + "1" + "}" * 60 + "$"


async def test_a_comparison_that_fails_is_no_score(evals: Evals) -> None:
    evals.models.behaviour.reply = lambda prompt, body: "2" if "easy" in prompt else DEEP
    rows = [{"question": "easy", "answer": "2"}, {"question": "deep", "answer": "2"}]
    suite_id = await evals.suite(rows, {"type": "math"})
    async with working(evals):
        run = await evals.finished(suite_id, timeout=50)
    easy, deep = await evals.samples(run.id)
    assert easy.scores == {"exact_match": 1.0}
    assert deep.status is SampleStatus.FAILED
    assert deep.scores == {}
    # On a slow machine its time is over first, which is as little of a score.
    assert (deep.error or {})["code"] in {"math_comparison_failed", "math_timeout"}
    assert (run.metrics or {})["by_task"]["t"]["metrics"] == {"exact_match": 1.0}
