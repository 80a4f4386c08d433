"""One execution: a program, its arguments, a worker, and how it ended.

An execution ends in a `Reply` (the driver's string), in a `CodeFailure`, or in `WorkerDiedError` when the process went
away without a word; whoever called decides whether to try that again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic_monty import (
    AsyncFunctionSnapshot,
    AsyncMonty,
    AsyncMontySession,
    AsyncNameLookupSnapshot,
    AsyncSnapshot,
    MontyComplete,
    MontyCrashedError,
    MontyError,
    ResourceLimits,
)

from assay.sandbox.contract import CodeFailure, FailureKind, Limits, ModelAccess, Program, SandboxUnavailableError
from assay.sandbox.driver import HOST_NAME, LOAD, RUN_ONE, RUN_ONE_WITH_MODELS
from assay.sandbox.failures import clean, failure_from, timeout_message
from assay.sandbox.models import ModelBridge

# Monty's own clock stops the code first and knows the line; ours is for a worker that no longer looks at its clock.
_GRACE_SECONDS = 2.0
_SUSPENSIONS = 2000
_CHECKOUTS_PER_WORKER = 1000


class WorkerDiedError(Exception):
    """The process went away in mid-execution, killed from outside or crashed by the code."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The driver's answer, and what the program printed meanwhile."""

    text: str
    printed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One call of a program's entry point."""

    program: Program
    arguments: str | None
    """JSON array of the positional arguments, without ``ctx``; ``None`` to load the program and call nothing."""
    metadata: str | None
    """JSON object for ``ctx.metadata``; ``None`` when the entry point takes no ``ctx``."""
    limits: Limits
    result_characters: int
    models: ModelAccess | None = None

    def inputs(self) -> dict[str, Any]:
        """What the driver is given."""
        return {
            **program_inputs(self.program),
            "arguments": self.arguments,
            "metadata": self.metadata,
            "limit": self.result_characters,
        }


def program_inputs(program: Program) -> dict[str, Any]:
    """The driver's inputs that depend on the program alone."""
    return {
        "source": program.source,
        "entry": program.entry,
        # Seeding costs as much as a small grade, so only programs that can draw numbers pay for it.
        "seeded": "random" in program.source,
    }


class Printed:
    """Collects what a program prints; past the limit it cancels the execution, which kills the worker."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces: list[str] = []
        self._size = 0
        self._loop = asyncio.get_running_loop()
        self._feed: asyncio.Future[Any] | None = None
        self.overflowed = False

    def __call__(self, stream: Literal["stdout", "stderr"], text: str) -> None:
        """Monty's print callback; it may come from another thread."""
        self._size += len(text.encode())
        if self._size <= self._limit:
            self._pieces.append(text)
        elif not self.overflowed:
            self.overflowed = True
            self._loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        if self._feed is not None:
            self._feed.cancel()

    async def watch(self, step: Awaitable[Any]) -> Any:
        """Await one step of the execution, which ends early when too much is printed.

        Raises:
            OutputOverflowError: The limit was passed; the session must be given up.
        """
        self._feed = asyncio.ensure_future(step)
        try:
            value = await self._feed
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self.overflowed and not (task and task.cancelling()):
                raise OutputOverflowError from None
            raise
        if self.overflowed:
            raise OutputOverflowError
        return value

    @property
    def text(self) -> str:
        """What was printed, up to the limit."""
        return "".join(self._pieces).replace("\0", "�")

    @property
    def anything(self) -> bool:
        """Whether anything was printed."""
        return self._size > 0


class OutputOverflowError(Exception):
    """The program printed too much."""


class WorkerPool:
    """Workers of one sort.

    Args:
        max_processes: Most workers alive at once; further executions wait for one.
        binary_path: The ``monty`` binary; the installed one by default.
    """

    def __init__(self, max_processes: int, *, binary_path: str | None) -> None:
        self._max_processes = max_processes
        self._monty = AsyncMonty(
            binary_path=binary_path,
            min_processes=1,
            max_processes=max_processes,
            max_checkouts_per_worker=_CHECKOUTS_PER_WORKER,
        )

    async def __aenter__(self) -> Self:
        await self._monty.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._monty.__aexit__(*error)

    async def open_session(
        self, stack: AsyncExitStack, limits: Limits, *, seconds: float | None = None
    ) -> AsyncMontySession:
        """Take a worker until ``stack`` closes; a feed still running by then is killed with its worker.

        Args:
            stack: Owner of the session.
            limits: Bounds that the worker enforces.
            seconds: Another time limit than that of ``limits``.

        Raises:
            SandboxUnavailableError: No worker could be started.
        """
        bounds: ResourceLimits = {
            "max_feed_duration_secs": limits.timeout_seconds if seconds is None else seconds,
            "max_memory": limits.max_memory_bytes,
            "max_recursion_depth": limits.max_recursion_depth,
            "max_suspensions": _SUSPENSIONS,
        }
        # A worker that died while idle is noticed here; in the worst case all of them did.
        for _ in range(self._max_processes):
            with suppress(MontyCrashedError):
                return await self._enter(stack, bounds)
        try:
            return await self._enter(stack, bounds)
        except MontyCrashedError as exc:
            raise SandboxUnavailableError(f"sandbox workers die as they start: {exc}") from exc

    async def _enter(self, stack: AsyncExitStack, bounds: ResourceLimits) -> AsyncMontySession:
        checkout = self._monty.checkout(limits=bounds, os_policy={"sleep": "zero", "random_start": {"seed": 0}})
        try:
            return await stack.enter_async_context(checkout)
        except (RuntimeError, OSError) as exc:
            raise SandboxUnavailableError(f"no sandbox worker could be started: {exc}") from exc


async def execute(execution: Execution, pool: WorkerPool) -> Reply | CodeFailure:
    """Run to the end, in a fresh session.

    Raises:
        WorkerDiedError: The worker process died.
        SandboxUnavailableError: No worker could be started.
    """
    limits = execution.limits
    printed = Printed(limits.max_output_bytes)
    bridge = None if execution.models is None else ModelBridge(execution.models)
    wall = limits.timeout_seconds + (_GRACE_SECONDS if bridge is None else 0)
    async with AsyncExitStack() as stack:
        session = await pool.open_session(stack, limits)
        try:
            async with asyncio.timeout(wall):
                text = await _drive(execution, session, printed, bridge)
        except TimeoutError:
            return CodeFailure(FailureKind.TIMEOUT, timeout_message(limits), printed=printed.text)
        except OutputOverflowError:
            message = f"it printed more than the limit of {limits.max_output_bytes} bytes"
            return CodeFailure(FailureKind.OUTPUT, message, printed=printed.text)
        except MontyCrashedError as exc:
            if exc.timed_out:
                return CodeFailure(FailureKind.TIMEOUT, timeout_message(limits), printed=printed.text)
            raise WorkerDiedError(clean(str(exc))) from exc
        except MontyError as exc:
            return failure_from(exc, limits=limits, bridge=bridge, printed=printed.text)
        return Reply(text, printed.text)


async def _drive(execution: Execution, session: AsyncMontySession, printed: Printed, bridge: ModelBridge | None) -> str:
    if bridge is None:
        code = LOAD if execution.arguments is None else RUN_ONE
        return await printed.watch(session.feed_run(code, inputs=execution.inputs(), print_callback=printed))
    snapshot: AsyncSnapshot = await printed.watch(
        session.feed_start(RUN_ONE_WITH_MODELS, inputs=execution.inputs(), print_callback=printed)
    )
    introduced = False
    while not isinstance(snapshot, MontyComplete):
        if isinstance(snapshot, AsyncNameLookupSnapshot) and not introduced:
            introduced = True
            step = snapshot.resume(value=_host_function)
        else:
            step = _next_step(snapshot, bridge)
        snapshot = await printed.watch(step)
    return snapshot.output


async def _next_step(snapshot: AsyncSnapshot, bridge: ModelBridge) -> AsyncSnapshot:
    """Answer one suspension: a model call, or a name or service that user code shall not find."""
    if isinstance(snapshot, AsyncFunctionSnapshot):
        if snapshot.is_os_function:
            return await snapshot.resume_not_handled()
        return await snapshot.resume(await bridge.answer(snapshot.args))
    if isinstance(snapshot, AsyncNameLookupSnapshot):
        return await snapshot.resume()
    raise SandboxUnavailableError(f"the sandbox stopped at an unknown point: {type(snapshot).__name__}")


def _host_function(function: str, request: str) -> str:
    """Stands for the model bridge inside the worker; its calls surface as snapshots, which `_next_step` answers."""
    raise RuntimeError(f"{function} was called outside of an execution")


_host_function.__name__ = HOST_NAME
