"""The sandbox on Monty: a Python interpreter of its own, in worker processes without files, network or environment.

Cases take one of two lanes.

*Together*: a chunk of cases in one execution, a few microseconds each. What comes back is believed only when nothing
remarkable happened. A case that raised, and every case of a chunk that printed, hit a limit or lost its worker,
goes to the other lane.

*Alone*: one case, one fresh session, its own limits. What happens there is the outcome. Programs that can reach library
state, and all that call models, start here.

So the fast lane never has to find out which case of many was to blame, and one case cannot spoil another.

Executions that call models wait most of their time, in workers of their own, and do not keep pure code waiting.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

import orjson
from pydantic_monty import MontyError

from assay.sandbox.contract import (
    DEFAULT_LIMITS,
    BatchGraded,
    BatchGradeOutcome,
    Case,
    CodeFailure,
    EntryPoint,
    FailureKind,
    Graded,
    GradeOutcome,
    Isolation,
    Limits,
    ModelAccess,
    Program,
    Returned,
    SandboxCodeError,
    SandboxInputError,
    SandboxUnavailableError,
    Transformed,
    TransformedBatch,
)
from assay.sandbox.driver import RUN_MANY
from assay.sandbox.execution import (
    Execution,
    OutputOverflowError,
    Printed,
    Reply,
    WorkerDiedError,
    WorkerPool,
    execute,
    program_inputs,
)
from assay.sandbox.failures import clean
from assay.sandbox.results import (
    ResultError,
    decode,
    describe_type,
    parse_batch,
    parse_grade,
    parse_returned,
    parse_row,
    parse_rows,
)

_CHUNK_CASES = 500
_CHUNK_SECONDS = 2.0
_CHUNK_STRIKES = 2
# The text of a chunk, the values parsed from it and their encoded results must fit into the sandbox together.
_CHUNK_SHARE_OF_MEMORY = 32
# A larger reply would hold up the event loop for milliseconds; it is parsed in a thread.
_READ_HERE_CHARACTERS = 256 * 1024

_Result = TypeVar("_Result", Graded, BatchGraded, Transformed, TransformedBatch, Returned)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """Many calls of one program."""

    program: Program
    calls: list[str]
    """JSON array of positional arguments, for each call."""
    metadata: str | None
    limits: Limits
    models: ModelAccess | None = None
    results_per_call: int = 1

    def alone(self, index: int) -> Execution:
        return Execution(
            program=self.program,
            arguments=self.calls[index],
            metadata=self.metadata,
            limits=self.limits,
            result_characters=self.limits.max_result_bytes * self.results_per_call,
            models=self.models,
        )

    def can_share(self) -> bool:
        return self.models is None and self.program.isolation is not Isolation.SESSION and len(self.calls) > 1

    def chunks(self) -> Iterator[list[int]]:
        """Indexes of calls that go into one execution; those too large for company are left out."""
        budget = self.limits.max_memory_bytes // _CHUNK_SHARE_OF_MEMORY
        chunk: list[int] = []
        size = 0
        for index, call in enumerate(self.calls):
            if len(call) > budget:
                continue
            if chunk and (len(chunk) == _CHUNK_CASES or size + len(call) > budget):
                yield chunk
                chunk, size = [], 0
            chunk.append(index)
            size += len(call)
        if chunk:
            yield chunk


class MontySandbox:
    """A `Sandbox` of Monty worker processes.

    Args:
        max_workers: Processes for code that calls no models; about the number of cores.
        max_model_workers: Processes for code that does: as many such executions wait at once. A worker takes about
            15 MB, more while its program holds more.
        binary_path: Another ``monty`` binary than the installed one.
    """

    def __init__(self, *, max_workers: int = 2, max_model_workers: int = 32, binary_path: str | None = None) -> None:
        self._pure = WorkerPool(max_workers, binary_path=binary_path)
        self._waiting = WorkerPool(max_model_workers, binary_path=binary_path)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start one worker of each sort; the others start when they are needed.

        Raises:
            SandboxUnavailableError: The ``monty`` binary is missing or does not start.
        """
        try:
            await self._stack.enter_async_context(self._pure)
            await self._stack.enter_async_context(self._waiting)
        except (MontyError, RuntimeError, OSError) as exc:
            await self._stack.aclose()
            raise SandboxUnavailableError(f"the sandbox could not be started: {exc}") from exc
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End all workers."""
        await self._stack.aclose()

    async def check(self, program: Program, *, limits: Limits = DEFAULT_LIMITS) -> None:
        """See `Sandbox.check`."""
        loading = Execution(
            program=program, arguments=None, metadata=None, limits=limits, result_characters=limits.max_result_bytes
        )
        outcome = await self._run_alone(loading)
        if isinstance(outcome, CodeFailure):
            raise SandboxCodeError(outcome.message, line=outcome.line)

    async def grade(
        self,
        program: Program,
        cases: Sequence[Case],
        *,
        metric_id: str = "score",
        models: ModelAccess | None = None,
        metadata: Mapping[str, Any] | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> list[GradeOutcome]:
        """See `Sandbox.grade`."""
        _expect(program, EntryPoint.GRADE)
        job = _Job(
            program=program,
            calls=[_encode([case.sample, case.item], f"case {index}") for index, case in enumerate(cases)],
            metadata=_metadata(program, metadata),
            limits=limits,
            models=_useful(program, models),
        )

        return [*await self._run(job, partial(parse_grade, metric_id=metric_id))]

    async def grade_batch(
        self,
        program: Program,
        cases: Sequence[Case],
        *,
        metric_id: str = "score",
        models: ModelAccess | None = None,
        metadata: Mapping[str, Any] | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> BatchGradeOutcome:
        """See `Sandbox.grade_batch`."""
        _expect(program, EntryPoint.GRADE_BATCH)
        job = _Job(
            program=program,
            calls=[_encode([[{"item": case.item, **case.sample} for case in cases]], "the cases")],
            metadata=_metadata(program, metadata),
            limits=limits,
            models=_useful(program, models),
            results_per_call=max(1, len(cases)),
        )

        [outcome] = await self._run(job, partial(parse_batch, count=len(cases), metric_id=metric_id))
        return outcome

    async def transform(
        self, program: Program, rows: Sequence[Mapping[str, Any]], *, limits: Limits = DEFAULT_LIMITS
    ) -> list[Transformed | CodeFailure]:
        """See `Sandbox.transform`."""
        _expect(program, EntryPoint.TRANSFORM)
        calls = [_encode([row], f"row {index}") for index, row in enumerate(rows)]
        return await self._run(_Job(program=program, calls=calls, metadata=None, limits=limits), parse_row)

    async def transform_batch(
        self, program: Program, rows: Sequence[Mapping[str, Any]], *, limits: Limits = DEFAULT_LIMITS
    ) -> TransformedBatch | CodeFailure:
        """See `Sandbox.transform_batch`."""
        _expect(program, EntryPoint.TRANSFORM_BATCH)
        job = _Job(
            program=program,
            calls=[_encode([rows], "the rows")],
            metadata=None,
            limits=limits,
            results_per_call=max(1, len(rows)),
        )
        [outcome] = await self._run(job, parse_rows)
        return outcome

    async def run(
        self, program: Program, arguments: Mapping[str, Any], *, limits: Limits = DEFAULT_LIMITS
    ) -> Returned | CodeFailure:
        """See `Sandbox.run`."""
        _expect(program, EntryPoint.RUN)
        calls = [_encode([arguments], "the arguments")]
        [outcome] = await self._run(_Job(program=program, calls=calls, metadata=None, limits=limits), parse_returned)
        return outcome

    async def answer(
        self,
        program: Program,
        given: Any,
        *,
        models: ModelAccess | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> Returned | CodeFailure:
        """See `Sandbox.answer`."""
        _expect(program, EntryPoint.ANSWER)
        job = _Job(
            program=program,
            calls=[_encode([given], "the input")],
            metadata=_metadata(program, None),
            limits=limits,
            models=_useful(program, models),
        )
        [outcome] = await self._run(job, parse_returned)
        return outcome

    async def _run(self, job: _Job, parse: Callable[[Any], _Result]) -> list[_Result | CodeFailure]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + job.limits.batch_seconds
        replies = await self._run_together(job, deadline) if job.can_share() else {}
        outcomes: list[_Result | CodeFailure] = []
        for index in range(len(job.calls)):
            if index in replies:
                reply = replies[index]
            elif loop.time() < deadline:
                reply = await self._run_alone(job.alone(index))
            else:
                message = f"not run: the batch had used up its {job.limits.batch_seconds:g} s"
                reply = CodeFailure(FailureKind.TIMEOUT, message)
            outcomes.append(reply if isinstance(reply, CodeFailure) else await _read(reply, job, parse))
            if index % _CHUNK_CASES == 0:
                await asyncio.sleep(0)
        return outcomes

    async def _run_together(self, job: _Job, deadline: float) -> dict[int, Reply]:
        """The fast lane: replies of the calls that went without remark."""
        replies: dict[int, Reply] = {}
        strikes = 0
        for chunk in job.chunks():
            if strikes == _CHUNK_STRIKES or asyncio.get_running_loop().time() >= deadline:
                break
            texts = await self._run_chunk(job, chunk)
            if texts is None:
                strikes += 1
                continue
            replies |= {index: Reply(text, "") for index, text in zip(chunk, texts, strict=True) if text is not None}
        return replies

    async def _run_chunk(self, job: _Job, chunk: list[int]) -> list[str | None] | None:
        """One execution for many calls; ``None`` when its outcome cannot be told apart by call."""
        seconds = min(_CHUNK_SECONDS, job.limits.timeout_seconds)
        printed = Printed(0)
        inputs = {
            **program_inputs(job.program),
            "reload": job.program.isolation is Isolation.RELOADED,
            "cases": f"[{','.join(job.calls[index] for index in chunk)}]",
            "metadata": job.metadata,
            "limit": job.limits.max_result_bytes,
        }
        async with AsyncExitStack() as stack:
            session = await self._pure.open_session(stack, job.limits, seconds=seconds)
            try:
                return json.loads(
                    await printed.watch(session.feed_run(RUN_MANY, inputs=inputs, print_callback=printed))
                )
            except (MontyError, OutputOverflowError):
                return None

    async def _run_alone(self, execution: Execution) -> Reply | CodeFailure:
        """The careful lane.

        Raises:
            SandboxUnavailableError: The worker died twice, and other workers do not run harmless code either.
        """
        pool = self._pure if execution.models is None else self._waiting
        try:
            return await execute(execution, pool)
        except WorkerDiedError:
            pass
        try:
            return await execute(execution, pool)
        except WorkerDiedError as exc:
            await self._probe(exc)
            return CodeFailure(FailureKind.CRASH, f"the sandbox process died of it, twice: {exc}")

    async def _probe(self, cause: WorkerDiedError) -> None:
        """Tell code that kills its worker from a sandbox that is broken."""
        try:
            async with AsyncExitStack() as stack:
                session = await self._pure.open_session(stack, DEFAULT_LIMITS)
                await session.feed_run("1 + 1")
        except MontyError as exc:
            raise SandboxUnavailableError(f"sandbox workers keep dying: {cause}") from exc


def _expect(program: Program, entry_point: EntryPoint) -> None:
    if program.entry_point is not entry_point:
        raise SandboxCodeError(f"the program was checked for `{program.entry_point}`, not for `{entry_point}`")


def _encode(value: Any, what: str) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError as exc:
        raise SandboxInputError(f"{what} cannot be given to the sandbox as JSON: {exc}") from exc


def _metadata(program: Program, metadata: Mapping[str, Any] | None) -> str | None:
    return _encode(dict(metadata or {}), "metadata") if program.takes_ctx else None


def _useful(program: Program, models: ModelAccess | None) -> ModelAccess | None:
    """A program that takes no ``ctx`` cannot call a model, so it need not wait for a worker that may."""
    return models if program.takes_ctx else None


async def _read(reply: Reply, job: _Job, parse: Callable[[Any], _Result]) -> _Result | CodeFailure:
    if len(reply.text) > _READ_HERE_CHARACTERS:
        return await asyncio.to_thread(_interpret, reply, job, parse)
    return _interpret(reply, job, parse)


def _interpret(reply: Reply, job: _Job, parse: Callable[[Any], _Result]) -> _Result | CodeFailure:
    mark, body = reply.text[0], reply.text[1:]
    try:
        if mark == "!":
            raise ResultError(describe_type(body, job.program.entry))
        if mark == "#":
            limit = job.limits.max_result_bytes * job.results_per_call
            raise ResultError(f"the result has {body} characters as JSON; the limit is {limit}")
        result = parse(decode(body))
        return replace(result, printed=reply.printed) if reply.printed else result
    except ResultError as exc:
        return CodeFailure(FailureKind.RESULT, clean(str(exc)), printed=reply.printed)
