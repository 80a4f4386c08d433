"""Model calls of user code, on every sandbox backend."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.sandbox.support import LONG, QUICK, assert_eventually, assert_works, cases, grade_one, program

from assay.sandbox import (
    BatchGraded,
    CodeFailure,
    EntryPoint,
    FailureKind,
    Graded,
    HostFunctionError,
    ModelAccess,
    Returned,
    Sandbox,
    check_program,
)


class Models:
    """A host that answers from what it is asked, and can be made to fail or to hang."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.waiting = 0
        self.gate = asyncio.Event()

    async def responses_create(self, *, model: str, **request: Any) -> Any:
        self.requests.append({"model": model, **request})
        prompt = str(request["input"])
        if prompt == "hang":
            self.waiting += 1
            await self.gate.wait()
        if prompt == "refused":
            raise HostFunctionError("the judge model is rate-limited")
        if prompt == "broken":
            raise ConnectionError("https://user:secret@host")
        return {"output_text": prompt.upper()}

    async def embeddings_create(self, *, model: str, **request: Any) -> Any:
        return {"data": [{"embedding": [float(len(text)), 0.5]} for text in request["input"]]}


JUDGE = program("""
    def grade(sample, item, ctx):
        reply = ctx.responses_create(input=item["target"])
        return {"scores": {"length": len(reply["output_text"])}, "judge": {**reply, **ctx.metadata}}
""")


async def test_grader_calls_models(sandbox: Sandbox) -> None:
    models = Models()
    outcomes = await sandbox.grade(JUDGE, cases("a", "bb"), models=ModelAccess(models), metadata={"run": "r1"})
    assert outcomes == [
        Graded({"length": 1.0}, judge={"output_text": "A", "run": "r1"}),
        Graded({"length": 2.0}, judge={"output_text": "BB", "run": "r1"}),
    ]
    assert models.requests == [{"model": "auto", "input": "a"}, {"model": "auto", "input": "bb"}]


@pytest.mark.parametrize("given", ["a", {"q": ["x", None]}, 5, None], ids=str)
async def test_an_agent_answers_by_a_function_of_any_name(sandbox: Sandbox, given: Any) -> None:
    models = Models()
    source = "def solve(given, ctx):\n    return [given, ctx.responses_create(input='hi')['output_text']]\n"
    code = check_program(source, entry_point=EntryPoint.ANSWER, function="solve")

    assert await sandbox.answer(code, given, models=ModelAccess(models)) == Returned([given, "HI"])
    assert models.requests == [{"model": "auto", "input": "hi"}]
    failure = await sandbox.answer(code, given)
    assert isinstance(failure, CodeFailure)
    assert failure.kind is FailureKind.MODEL_ACCESS


async def test_embeddings_in_a_batch(sandbox: Sandbox) -> None:
    code = program(
        """
        def grade_batch(samples, ctx):
            reply = ctx.embeddings_create(model="auto", input=[s["output_text"] for s in samples])
            return [row["embedding"][0] for row in reply["data"]]
        """,
        EntryPoint.GRADE_BATCH,
    )
    outcome = await sandbox.grade_batch(code, cases("a", "b"), models=ModelAccess(Models()))
    assert outcome == BatchGraded([Graded({"score": 5.0})] * 2)


@pytest.mark.parametrize(
    ("prompt", "kind", "says"),
    [
        ("refused", FailureKind.MODEL_CALL, "ctx.responses_create failed: the judge model is rate-limited"),
        ("broken", FailureKind.MODEL_CALL, "ctx.responses_create failed: ConnectionError"),
        ("hang", FailureKind.TIMEOUT, "limit of 0.4 s"),
    ],
)
async def test_failing_model_calls(sandbox: Sandbox, prompt: str, kind: FailureKind, says: str) -> None:
    outcomes = await sandbox.grade(JUDGE, cases(prompt, "ok"), models=ModelAccess(Models()), limits=QUICK)
    failure = outcomes[0]
    assert isinstance(failure, CodeFailure)
    assert failure.kind is kind
    assert says in failure.message
    assert "secret" not in failure.message
    assert isinstance(outcomes[1], Graded)


async def test_model_failures_can_be_caught(sandbox: Sandbox) -> None:
    code = program("""
        def grade(sample, item, ctx):
            try:
                ctx.responses_create(input="refused")
            except RuntimeError as error:
                return {"scores": {"score": 0.0}, "judge": {"error": str(error)}}
    """)
    [outcome] = await sandbox.grade(code, cases("x"), models=ModelAccess(Models()))
    assert outcome == Graded(
        {"score": 0.0}, judge={"error": "ctx.responses_create failed: the judge model is rate-limited"}
    )


async def test_model_budget_is_per_case(sandbox: Sandbox) -> None:
    code = program("""
        def grade(sample, item, ctx):
            return sum(len(ctx.responses_create(input="x")["output_text"]) for i in range(item["target"]))
    """)
    models = Models()
    outcomes = await sandbox.grade(code, cases(3, 4, 3), models=ModelAccess(models, max_calls=3))
    assert outcomes[0] == outcomes[2] == Graded({"score": 3.0})
    failure = outcomes[1]
    assert isinstance(failure, CodeFailure)
    assert failure.kind is FailureKind.MODEL_BUDGET
    assert "max_model_calls = 3" in failure.message
    assert len(models.requests) == 9


async def test_five_hundred_calls_are_allowed(sandbox: Sandbox) -> None:
    code = program(
        "def grade(sample, item, ctx):\n    for i in range(500): ctx.responses_create(input='x')\n    return 1\n"
    )
    outcomes = await sandbox.grade(code, cases("x"), models=ModelAccess(Models(), max_calls=500))
    assert outcomes == [Graded({"score": 1.0})]


async def test_no_model_access(sandbox: Sandbox) -> None:
    outcome = await grade_one(sandbox, JUDGE)
    assert isinstance(outcome, CodeFailure)
    assert outcome.kind is FailureKind.MODEL_ACCESS
    assert "model_access" in outcome.message
    assert outcome.line == 3


async def test_aliased_model_request_stays_inside(sandbox: Sandbox) -> None:
    code = program("def grade(sample, item, ctx):\n    ctx.responses_create(input=['a' * 1_000_000] * 100_000)\n")
    [outcome] = await sandbox.grade(code, cases("x"), models=ModelAccess(Models()), limits=QUICK)
    assert isinstance(outcome, CodeFailure)
    assert outcome.kind is FailureKind.MEMORY


async def test_waiting_graders_overlap_and_leave_pure_ones_alone(sandbox: Sandbox) -> None:
    models = Models()
    calls = [
        asyncio.create_task(sandbox.grade(JUDGE, cases("hang"), models=ModelAccess(models), limits=LONG))
        for _ in range(4)
    ]
    await assert_eventually(lambda: models.waiting == 4)
    await assert_works(sandbox)
    models.gate.set()
    assert [type(outcome) for [outcome] in await asyncio.gather(*calls)] == [Graded] * 4


async def test_cancelling_a_waiting_grader_frees_its_worker(sandbox: Sandbox) -> None:
    for _ in range(6):
        models = Models()
        call = asyncio.create_task(sandbox.grade(JUDGE, cases("hang"), models=ModelAccess(models), limits=LONG))
        await assert_eventually(lambda models=models: models.waiting == 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert len(await sandbox.grade(JUDGE, cases("ok"), models=ModelAccess(Models()))) == 1


async def test_the_host_function_cannot_be_had_by_name(sandbox: Sandbox) -> None:
    code = program("def grade(sample, item, ctx):\n    return assay_host('responses_create', '{}')\n")
    [outcome] = await sandbox.grade(code, cases("x"), models=ModelAccess(Models()))
    assert isinstance(outcome, CodeFailure)
    assert outcome.message == "NameError: name 'assay_host' is not defined"
