"""A function with Python source: ``run(arguments)`` in the sandbox, without files or network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assay.core.tools.types import MAX_RESULT_BYTES, PythonSource, ToolFault, ToolOutcome
from assay.kit import json
from assay.sandbox import CodeFailure, FailureKind, Limits, Sandbox

MAX_MEMORY_BYTES = 128 * 1024 * 1024


async def run_source(sandbox: Sandbox, source: PythonSource, arguments: Mapping[str, Any]) -> ToolOutcome:
    """Run a call.

    Raises:
        SandboxUnavailableError: The sandbox is broken; nothing is known about the code.
    """
    limits = Limits(
        timeout_seconds=source.timeout_seconds,
        batch_seconds=source.timeout_seconds,
        max_memory_bytes=MAX_MEMORY_BYTES,
        max_result_bytes=MAX_RESULT_BYTES,
    )
    outcome = await sandbox.run(source.program, arguments, limits=limits)
    if isinstance(outcome, CodeFailure):
        kind = ToolFault.TIMEOUT if outcome.kind is FailureKind.TIMEOUT else ToolFault.CODE
        line = "" if outcome.line is None else f" (line {outcome.line})"
        return ToolOutcome.failed(kind, f"{outcome.message}{line}")
    return ToolOutcome(outcome.value if isinstance(outcome.value, str) else json.dumps(outcome.value))
