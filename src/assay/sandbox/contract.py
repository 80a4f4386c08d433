"""What a sandbox promises, whatever runs underneath.

    check_program(source, entry_point=…) -> Program      static, nothing is executed
    Sandbox.grade(program, cases)        -> one outcome per case
    Sandbox.grade_batch(program, cases)  -> outcomes aligned with the cases, task metrics
    Sandbox.transform(program, rows)     -> one outcome per row
    Sandbox.transform_batch(program, rows) -> all rows, or one failure
    Sandbox.run(program, arguments)      -> one value, or one failure
    Sandbox.answer(program, given)       -> one value, or one failure

User code is hostile. Three rules follow:

1. What the code does wrong is a *result*: a `CodeFailure` of the case that did it, with a kind, a readable message and,
   when it is known, the line. Only a sandbox that cannot run anything raises, and it raises `SandboxUnavailableError`.
2. Cases do not see each other: not each other's changes to their arguments, nor to the globals of the program.
3. Values cross in and out as JSON text on a channel that printing does not reach. Everything has a bound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self

from assay.kit.errors import InvalidError, UnavailableError

MIB = 1024 * 1024


class SandboxCodeError(InvalidError):
    """The program cannot run here: syntax, entry point, arity, or a feature that the sandbox lacks.

    ``data`` holds ``line`` and ``column``, both from 1, or ``None`` where the fault has no place.
    """

    code = "sandbox_code"

    def __init__(self, message: str, *, line: int | None = None, column: int | None = None) -> None:
        where = "" if line is None else f" (line {line}{'' if column is None else f', column {column}'})"
        super().__init__(message + where, data={"line": line, "column": column})
        self.line = line
        self.column = column


class SandboxInputError(InvalidError):
    """A limit is out of bounds, or a case, row or metadata is not JSON."""

    code = "sandbox_input"


class SandboxUnavailableError(UnavailableError):
    """The sandbox itself is broken or not started. Nothing is known about the code; trying again may help."""

    code = "sandbox_unavailable"


class EntryPoint(StrEnum):
    """The function that a program must define (M§4.7, M§4.8)."""

    GRADE = "grade"
    """``grade(sample, item)`` or ``grade(sample, item, ctx)``."""
    GRADE_BATCH = "grade_batch"
    """``grade_batch(samples)`` or ``grade_batch(samples, ctx)``."""
    TRANSFORM = "transform"
    """``transform(row)``."""
    TRANSFORM_BATCH = "transform_batch"
    """``transform_batch(rows)``."""
    RUN = "run"
    """``run(arguments)``: a tool of an agent."""
    ANSWER = "answer"
    """``answer(given)`` or ``answer(given, ctx)``: an agent that is a function, under whatever name it has."""


class Isolation(StrEnum):
    """How much must be fresh for each case so that no case can see another. Found by reading the source."""

    SHARED = "shared"
    """The program keeps no state: loaded once, called many times."""
    RELOADED = "reloaded"
    """It has globals that could change: loaded anew for each case, in one execution."""
    SESSION = "session"
    """It can reach the state of library modules: a fresh session for each case."""


@dataclass(frozen=True, slots=True)
class Program:
    """Source that passed `check_program`."""

    source: str
    entry_point: EntryPoint
    takes_ctx: bool
    """Whether the entry point accepts ``ctx`` as its last argument."""
    isolation: Isolation
    function: str = ""
    """The name of the entry point in the source, where that is not the entry point's own."""

    @property
    def entry(self) -> str:
        """The name of the function that is called."""
        return self.function or self.entry_point.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one execution: one case of a per-case contract, or one whole batch.

    Raises:
        SandboxInputError: A bound lies outside of its range.
    """

    timeout_seconds: float = 120.0
    """Wall clock of one execution, waiting for models included; 0.01 to 600 (M§4.7)."""
    batch_seconds: float = 900.0
    """After this many seconds no further case of a call is begun; those left over fail as timeouts. 0.01 to 86,400."""
    max_memory_bytes: int = 128 * MIB
    """Heap of the program; 8 MiB to 1 GiB."""
    max_output_bytes: int = 64 * 1024
    """What one execution may print; 0 to 16 MiB."""
    max_recursion_depth: int = 500
    """Nested calls; 20 to 1,000."""
    max_result_bytes: int = MIB
    """JSON text of one case's result; 64 bytes to 64 MiB. A batch may return this much for each of its cases."""

    _RANGES: ClassVar[dict[str, tuple[float, float]]] = {
        "timeout_seconds": (0.01, 600),
        "batch_seconds": (0.01, 86_400),
        "max_memory_bytes": (8 * MIB, 1024 * MIB),
        "max_output_bytes": (0, 16 * MIB),
        "max_recursion_depth": (20, 1000),
        "max_result_bytes": (64, 64 * MIB),
    }

    def __post_init__(self) -> None:
        for name, (low, high) in self._RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise SandboxInputError(f"{name} must lie between {low} and {high}, not {value}", param=name)


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Case:
    """What a grader sees of one sample. Both must be JSON objects; the program gets its own copies."""

    sample: Mapping[str, Any]
    item: Mapping[str, Any]
    """The dataset row. In a batch it is the key ``item`` of the sample, unless the sample has one."""


class FailureKind(StrEnum):
    """Why the code has no result."""

    EXCEPTION = "exception"
    """It raised."""
    LOAD = "load"
    """It could not be loaded: a feature or module that the sandbox lacks."""
    TIMEOUT = "timeout"
    MEMORY = "memory"
    RECURSION = "recursion"
    OUTPUT = "output"
    """It printed more than it may."""
    RESULT = "result"
    """It returned something that is not a result: wrong type, NaN, infinity, too large."""
    MODEL_ACCESS = "model_access"
    """It called a model without access to models."""
    MODEL_BUDGET = "model_budget"
    """It called models more often than it may."""
    MODEL_CALL = "model_call"
    """A model call failed."""
    CRASH = "crash"
    """The worker process died of it, twice, and serves other code well."""


@dataclass(frozen=True, slots=True)
class CodeFailure:
    """The code ran and has no result, or could not run at all."""

    kind: FailureKind
    message: str
    """For people; at most 2,000 characters."""
    line: int | None = None
    """Line of the program, from 1."""
    printed: str = ""


@dataclass(frozen=True, slots=True)
class Graded:
    """A grader's verdict (R10)."""

    scores: dict[str, float]
    """Metric id to finite number."""
    judge: dict[str, Any] | None = None
    extracted_output: str | None = None
    printed: str = ""


GradeOutcome = Graded | CodeFailure


@dataclass(frozen=True, slots=True)
class BatchGraded:
    """What `grade_batch` returned: one outcome per case, in their order, and metrics of the whole task."""

    outcomes: list[GradeOutcome]
    metrics: dict[str, float] = field(default_factory=dict[str, float])
    printed: str = ""


BatchGradeOutcome = BatchGraded | CodeFailure


@dataclass(frozen=True, slots=True)
class Transformed:
    """A preprocessor's new row."""

    row: dict[str, Any]
    printed: str = ""


@dataclass(frozen=True, slots=True)
class TransformedBatch:
    """A batch preprocessor's rows: any number of them."""

    rows: list[dict[str, Any]]
    printed: str = ""


@dataclass(frozen=True, slots=True)
class Returned:
    """What a tool returned."""

    value: Any
    """Any JSON value; its numbers are finite."""
    printed: str = ""


class HostFunctionError(UnavailableError):
    """A model call failed, with a message that user code may read. It must hold no secret."""

    code = "host_function"


class HostFunctions(Protocol):
    """The models that a grader may call through ``ctx``. The caller resolves ``auto`` and counts costs.

    Both take the keyword arguments of the user's call and return a JSON-ready value. They should have a timeout of
    their own, and raise `HostFunctionError` for a failure that the user should read; the text of any other exception is
    withheld from user code.
    """

    async def responses_create(self, *, model: str, **request: Any) -> Any:
        """Answer one request, like the Responses API."""
        ...

    async def embeddings_create(self, *, model: str, **request: Any) -> Any:
        """Embed, like the Embeddings API."""
        ...


@dataclass(frozen=True, slots=True)
class ModelAccess:
    """Permission to call models."""

    host: HostFunctions
    max_calls: int = 64
    """Calls per execution: per case of `grade`, per `grade_batch`. 0 to 500 (M§4.7)."""

    def __post_init__(self) -> None:
        if not 0 <= self.max_calls <= 500:
            raise SandboxInputError(f"max_model_calls must lie between 0 and 500, not {self.max_calls}")


class Sandbox(Protocol):
    """Runs checked programs. Safe for concurrent calls from one event loop; every call may be cancelled.

    All methods raise `SandboxUnavailableError` when the sandbox itself fails (after one retry on a fresh worker),
    `SandboxInputError` when a case, row or metadata is not JSON, and `SandboxCodeError` when the program was checked
    for another entry point.
    """

    async def __aenter__(self) -> Self:
        """Start workers."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop them all."""
        ...

    async def check(self, program: Program, *, limits: Limits = DEFAULT_LIMITS) -> None:
        """Load the program in the sandbox, calling nothing.

        Raises:
            SandboxCodeError: It does not load there: a missing feature or module, or its top level fails.
        """
        ...

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
        """Grade each case alone: ``grade(sample, item[, ctx])``.

        Args:
            program: Checked for `EntryPoint.GRADE`.
            cases: Any number; with ``models`` they run one after the other, so callers that want them to overlap make
                several calls.
            metric_id: Name of a bare number.
            models: Access to models; ``None`` for none.
            metadata: ``ctx.metadata``, a JSON object.
            limits: Bounds of each case.

        Returns:
            One outcome per case, in order.
        """
        ...

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
        """Grade all cases in one call: ``grade_batch(samples[, ctx])``. Arguments as for `grade`."""
        ...

    async def transform(
        self, program: Program, rows: Sequence[Mapping[str, Any]], *, limits: Limits = DEFAULT_LIMITS
    ) -> list[Transformed | CodeFailure]:
        """Transform each row alone: ``transform(row)``. One outcome per row, in order."""
        ...

    async def transform_batch(
        self, program: Program, rows: Sequence[Mapping[str, Any]], *, limits: Limits = DEFAULT_LIMITS
    ) -> TransformedBatch | CodeFailure:
        """Transform all rows in one call: ``transform_batch(rows)``."""
        ...

    async def run(
        self, program: Program, arguments: Mapping[str, Any], *, limits: Limits = DEFAULT_LIMITS
    ) -> Returned | CodeFailure:
        """Call ``run(arguments)`` once, in a fresh session."""
        ...

    async def answer(
        self,
        program: Program,
        given: Any,
        *,
        models: ModelAccess | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> Returned | CodeFailure:
        """Call ``answer(given[, ctx])`` once, in a fresh session.

        Args:
            program: Checked for `EntryPoint.ANSWER`.
            given: Any JSON value.
            models: Access to models; ``None`` for none.
            limits: Bounds of the call.
        """
        ...
