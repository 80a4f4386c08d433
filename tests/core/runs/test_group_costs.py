"""What a grader of whole groups spends on models is neither lost nor counted twice."""

from __future__ import annotations

from tests.support.evals import Evals, question_rows, working

from assay.core.runs.types import RunStatus

GRADER = """
def grade_batch(samples, ctx):
    for sample in samples:
        ctx.responses_create(model="simulator/strong", input="How much is 2 + 2?")
    return [1.0 for sample in samples]
"""


async def test_group_calls_are_kept_with_one_sample(evals: Evals) -> None:
    grader = {"type": "python", "contract": "model_backed", "execution": "aggregate", "source": GRADER}
    suite_id = await evals.suite(question_rows(3), {"id": "t", "type": "custom", "grader": grader})
    async with working(evals):
        run = await evals.finished(suite_id)
    assert run.status is RunStatus.COMPLETED, run.error
    judges = [sample.judge for sample in await evals.samples(run.id) if sample.judge]
    assert len(judges) == 1
    assert judges[0]["model_calls"] == 3
    assert judges[0]["models"] == ["simulator/strong"]
    assert judges[0]["cost_usd"] is None, "the model has no price, and unknown is not zero"
    assert run.cost_usd is None
