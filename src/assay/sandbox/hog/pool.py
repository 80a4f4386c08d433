"""`HogSandbox`: programs run in other processes, so that none can hold up the event loop.

The machine ends a program at its limits. A worker whose machine does not (a single operation that takes too long, a
fault in a library) is killed: the case at which it hung gets a timeout, the others go to a fresh worker. A worker that
dies gets its case tried once more; if that kills the next worker too, the case is to blame and says so.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from assay.sandbox.contract import SandboxInputError, SandboxUnavailableError
from assay.sandbox.hog.code import Program
from assay.sandbox.hog.errors import HogFailureKind, HogRuntimeError
from assay.sandbox.hog.limits import DEFAULT_LIMITS, HogLimits
from assay.sandbox.hog.running import Outcome
from assay.sandbox.hog.verdict import OutputRule, Verdict, judge
from assay.sandbox.hog.wire import HEADER, MAX_FRAME_BYTES, decode_verdict, encode, encode_job, frame

_CHUNK_CASES = 200
_CHUNK_BYTES = 8 * 1024 * 1024
_START_SECONDS = 60.0
_GRACE_SECONDS = 3.0
_CASES_PER_WORKER = 50_000
_COMMAND = (sys.executable, "-I", "-m", "assay.sandbox.hog.worker")


class _WorkerDiedError(Exception):
    """The process went away, or talks nonsense."""


class _WorkerHungError(Exception):
    """No answer long after the limit."""


@dataclass(frozen=True, slots=True)
class _Job:
    program: Program
    rule: OutputRule
    limits: HogLimits

    def failed(self, kind: HogFailureKind, message: str) -> Verdict:
        return judge(Outcome(None, [], HogRuntimeError(kind, message)), self.rule)


class _Worker:
    """A process and its pipes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.cases = 0

    @classmethod
    async def start(cls) -> _Worker:
        """A worker that is ready.

        Raises:
            SandboxUnavailableError: It does not start.
        """
        pipe, nowhere = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        try:
            process = await asyncio.create_subprocess_exec(*_COMMAND, stdin=pipe, stdout=pipe, stderr=nowhere, env={})
        except OSError as exc:
            raise SandboxUnavailableError(f"the worker for Hog programs could not be started: {exc}") from exc
        worker = cls(process)
        try:
            await worker._answer(_START_SECONDS)
        except (_WorkerDiedError, _WorkerHungError) as exc:
            await worker.kill()
            raise SandboxUnavailableError("the worker for Hog programs ended or hung while starting") from exc
        except BaseException:
            await worker.kill()
            raise
        return worker

    async def run(self, job: _Job, cases: Sequence[bytes], verdicts: list[Verdict]) -> None:
        """Run cases, and append each verdict as it comes.

        Raises:
            _WorkerHungError: At the first case without a verdict.
            _WorkerDiedError: Likewise.
        """
        if self._process.stdin is None:
            raise _WorkerDiedError
        header = encode_job(job.program.source, job.rule, job.limits, cases=len(cases))
        # Not drained: the worker answers while it reads, and waiting for both would be a deadlock.
        self._process.stdin.write(frame(header) + b"".join(frame(case) for case in cases))
        for _ in cases:
            body = await self._answer(job.limits.seconds + _GRACE_SECONDS)
            try:
                verdicts.append(decode_verdict(body))
            except ValueError as exc:
                raise _WorkerDiedError from exc
            self.cases += 1

    async def _answer(self, seconds: float) -> bytes:
        reader = self._process.stdout
        if reader is None:
            raise _WorkerDiedError
        try:
            async with asyncio.timeout(seconds):
                [size] = HEADER.unpack(await reader.readexactly(HEADER.size))
                if size > MAX_FRAME_BYTES:
                    raise _WorkerDiedError
                return await reader.readexactly(size)
        except TimeoutError as exc:
            raise _WorkerHungError from exc
        except (asyncio.IncompleteReadError, ConnectionError) as exc:
            raise _WorkerDiedError from exc

    async def kill(self) -> None:
        """End the process, whatever it does."""
        with suppress(ProcessLookupError):
            self._process.kill()
        if self._process.stdin is not None:
            self._process.stdin.close()
        # Shielded, so that a cancelled caller leaves no zombie behind.
        await asyncio.shield(self._process.wait())


class HogSandbox:
    """Runs compiled programs over many cases.

    Args:
        max_workers: Processes, started as they are needed; about the number of cores. Each takes about 40 MB.
    """

    def __init__(self, *, max_workers: int = 2) -> None:
        self._slots = asyncio.Semaphore(max_workers)
        self._idle: list[_Worker] = []

    async def __aenter__(self) -> Self:
        """Start the first worker.

        Raises:
            SandboxUnavailableError: It does not start.
        """
        self._idle.append(await _Worker.start())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End all workers."""
        await self.close()

    async def close(self) -> None:
        """End all workers; for a sandbox that was used without ``async with`` and so started its first one late."""
        while self._idle:
            await self._idle.pop().kill()

    async def evaluate(
        self,
        program: Program,
        cases: Sequence[Mapping[str, Any]],
        *,
        rule: OutputRule,
        limits: HogLimits = DEFAULT_LIMITS,
    ) -> list[Verdict]:
        """Run a program once for each case.

        Args:
            program: From `compile_program`.
            cases: The globals of each run: JSON values by name.
            rule: What the program may return.
            limits: Of each run.

        Returns:
            A verdict for each case, in order; a failing program is one of them.

        Raises:
            SandboxInputError: A case cannot be expressed in JSON, or is larger than 256 MiB.
            SandboxUnavailableError: Workers do not start.
        """
        job = _Job(program, rule, limits)
        chunks = _chunks([_encode(index, case) for index, case in enumerate(cases)])
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._run_chunk(job, chunk)) for chunk in chunks]
        except BaseExceptionGroup as exc:
            raise exc.exceptions[0] from exc
        return [verdict for task in tasks for verdict in task.result()]

    async def _run_chunk(self, job: _Job, cases: list[bytes]) -> list[Verdict]:
        verdicts: list[Verdict] = []
        died_at = -1
        while len(verdicts) < len(cases):
            try:
                async with self._worker() as worker:
                    await worker.run(job, cases[len(verdicts) :], verdicts)
            except _WorkerHungError:
                message = f"Execution timed out after {job.limits.seconds:g}s; its process had to be killed"
                verdicts.append(job.failed(HogFailureKind.TIMEOUT, message))
            except _WorkerDiedError:
                if died_at == len(verdicts):
                    message = "the process that ran the program died of it, twice"
                    verdicts.append(job.failed(HogFailureKind.UNEXPECTED, message))
                died_at = len(verdicts)
        return verdicts

    @asynccontextmanager
    async def _worker(self) -> AsyncGenerator[_Worker]:
        """A worker for one batch; one that did not finish it in peace is killed."""
        async with self._slots:
            worker = self._idle.pop() if self._idle else await _Worker.start()
            try:
                yield worker
            except BaseException:
                await worker.kill()
                raise
            if worker.cases < _CASES_PER_WORKER:
                self._idle.append(worker)
            else:
                await worker.kill()


def _encode(index: int, case: Mapping[str, Any]) -> bytes:
    try:
        body = encode(dict(case))
    except (TypeError, ValueError) as exc:
        raise SandboxInputError(f"case {index} cannot be given to the sandbox as JSON: {exc}") from exc
    if len(body) > MAX_FRAME_BYTES:
        raise SandboxInputError(f"case {index} has {len(body)} bytes as JSON; the limit is {MAX_FRAME_BYTES}")
    return body


def _chunks(cases: list[bytes]) -> list[list[bytes]]:
    chunks: list[list[bytes]] = []
    size = 0
    for case in cases:
        if not chunks or len(chunks[-1]) == _CHUNK_CASES or size + len(case) > _CHUNK_BYTES:
            chunks.append([])
            size = 0
        chunks[-1].append(case)
        size += len(case)
    return chunks
