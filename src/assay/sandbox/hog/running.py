"""One run of a program, from globals to an outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from assay.sandbox.hog.code import Program
from assay.sandbox.hog.errors import HogFailure, HogFailureKind, HogRuntimeError
from assay.sandbox.hog.limits import DEFAULT_LIMITS, HogLimits
from assay.sandbox.hog.machine import Machine
from assay.sandbox.hog.values import Value


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    value: Value
    """What the program returned; null when it failed."""
    printed: list[str]
    """Its output so far, line by line."""
    error: HogRuntimeError | None = None


def run_program(
    program: Program,
    variables: Mapping[str, Any],
    *,
    limits: HogLimits = DEFAULT_LIMITS,
    now: Callable[[], datetime] | None = None,
) -> Outcome:
    """Run a program once. That it fails is an outcome, never an exception.

    Args:
        program: From `compile_program`.
        variables: The globals by name: JSON values. The program gets copies of what it reads.
        limits: What the run may use up. They bind between instructions and before each library call; a single call
            takes at most about a second beyond.
        now: The clock of ``now()`` and ``today()``; the present by default.
    """
    machine = Machine(program, variables, limits, now)
    try:
        value, error = machine.run(), None
    except HogFailure as failure:
        value, error = None, HogRuntimeError(failure.kind, failure.message, machine.present_line())
    except MemoryError:
        value, error = None, HogRuntimeError(HogFailureKind.MEMORY, "Memory limit of the process exceeded")
    except Exception as exc:
        value, error = None, HogRuntimeError(HogFailureKind.UNEXPECTED, f"{type(exc).__name__}: {exc}")
    finally:
        machine.close()
    return Outcome(value, machine.budget.printed, error)
