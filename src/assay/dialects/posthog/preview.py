"""The Hog test as this dialect has it (P§4.2): what is sent, what is answered, and its own form of errors."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from assay.core.evaluators.errors import DefinitionError, SourceError
from assay.core.evaluators.types import OutputKind, TargetKind
from assay.core.online.preview import MAX_SAMPLES, PreparedPreview, PreviewRequest, Trial
from assay.dialects.posthog.errors import FieldError, attr_of
from assay.dialects.posthog.wire import JsonList, JsonObject, Wire
from assay.kit.errors import DomainError
from assay.sandbox.hog import OutputType


class TestHogInput(Wire):
    """A program to try."""

    source: Annotated[str, StringConstraints(min_length=1)]
    sample_count: Annotated[int, Field(ge=1, le=MAX_SAMPLES)] = 5
    allows_na: bool = False
    conditions: JsonList = Field(default_factory=list)
    output_type: OutputType = OutputType.BOOLEAN
    output_config: JsonObject = Field(default_factory=dict)
    target: TargetKind = TargetKind.GENERATION
    target_config: JsonObject = Field(default_factory=dict)


def preview_request(wire: TestHogInput) -> PreviewRequest:
    """The same in the core's words; what the output's configuration says of "not applicable" wins."""
    return PreviewRequest(
        source=wire.source,
        sample_count=wire.sample_count,
        conditions=wire.conditions,
        output_kind=OutputKind(wire.output_type.value),
        output_config={"allows_na": wire.allows_na, **wire.output_config},
        target=wire.target,
        target_config=wire.target_config,
    )


def preview_error(error: DomainError) -> DomainError:
    """A fault of the request at the field that this endpoint has for it."""
    match error:
        case SourceError():
            error.param = "source"
            return error
        case DefinitionError(param="output_config" | "target_config" as field):
            return FieldError(field, "invalid", error.message)
        case DefinitionError():
            return FieldError(attr_of(error.param or ""), "invalid", error.message)
        case _:
            return error


def render_preview(target: TargetKind, prepared: PreparedPreview, trials: list[Trial]) -> dict[str, Any]:
    """The answer; with a message only when there was nothing to try the program on."""
    answer: dict[str, Any] = {"results": [_render(trial) for trial in trials]}
    if not trials:
        answer["message"] = _nothing_found(target, prepared.quiet_period)
    return answer


def _render(trial: Trial) -> dict[str, Any]:
    sample, verdict = trial.sample, trial.verdict
    given, said = sample.previews
    return {
        "sample_id": sample.id,
        "sample_type": sample.target.value,
        "event_uuid": sample.id if sample.target is TargetKind.GENERATION else None,
        "trace_id": sample.trace_id,
        "input_preview": given,
        "output_preview": said,
        "result": verdict.result,
        "score": verdict.score,
        "categories": None if verdict.categories is None else list(verdict.categories),
        "reasoning": verdict.reasoning,
        "error": verdict.error,
    }


def _nothing_found(target: TargetKind, quiet_period: timedelta | None) -> str:
    match target:
        case TargetKind.GENERATION:
            return "No matching generations were found in the last 7 days."
        case TargetKind.TRACE:
            return "No traces with matching generations were found in the last 7 days."
        case TargetKind.SESSION:
            over = "" if quiet_period is None else f" that have been quiet for {_spoken(quiet_period)}"
            return f"No sessions with matching generations{over} were found in the last 7 days."


def _spoken(period: timedelta) -> str:
    seconds = round(period.total_seconds())
    for size, unit in ((3600, "hour"), (60, "minute"), (1, "second")):
        if seconds % size == 0:
            count = seconds // size
            return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
    raise AssertionError("every number of seconds is a multiple of one")
