"""Query parameters of the dialect, parsed once and typed (M§1.4, M§1.9, R7, R27)."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Query
from pydantic import AfterValidator, BeforeValidator

from assay.dialects.mka1.identifiers import Prefix, UnknownIdError, read_id

MAX_SAMPLE_INDEXES = 500


def _cursor(prefix: Prefix) -> BeforeValidator:
    def parse(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return read_id(prefix, value, param="after")
        except UnknownIdError as error:
            raise ValueError(error.message) from error

    return BeforeValidator(parse, json_schema_input_type=str | None)


def _identifier(prefix: Prefix) -> BeforeValidator:
    def parse(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return read_id(prefix, value, param="suite_id")
        except UnknownIdError:
            # An id of another form names nothing: the list is empty, which the nil UUID brings about.
            return UUID(int=0)

    return BeforeValidator(parse, json_schema_input_type=str | None)


def _indexes(value: str | None) -> list[int] | None:
    if value is None:
        return None
    parts = [part.strip() for part in value.split(",")]
    if len(parts) > MAX_SAMPLE_INDEXES or not all(part.isdecimal() and len(part) <= 9 for part in parts):
        raise ValueError(f"give one index or a list of at most {MAX_SAMPLE_INDEXES}, like 3 or 3,5,8")
    return [int(part) for part in parts]


def parse_flag(value: str | None) -> bool | None:
    """What a boolean that travels as text says."""
    return None if value is None else value in {"true", "1"}


def parse_sample_indexes(value: str | None) -> list[int] | None:
    """One index or a comma list, as numbers."""
    return _indexes(value)


def _checked_indexes(value: str | None) -> str | None:
    _indexes(value)
    return value


AfterSuite = Annotated[UUID | None, Query(), _cursor(Prefix.SUITE)]
AfterVersion = Annotated[UUID | None, Query(), _cursor(Prefix.VERSION)]
AfterRun = Annotated[UUID | None, Query(), _cursor(Prefix.RUN)]
AfterSample = Annotated[UUID | None, Query(), _cursor(Prefix.SAMPLE)]
AfterSchedule = Annotated[UUID | None, Query(), _cursor(Prefix.SCHEDULE)]
AfterFire = Annotated[UUID | None, Query(), _cursor(Prefix.FIRE)]
AfterFile = Annotated[UUID | None, Query(), _cursor(Prefix.FILE)]
AfterFunctionTool = Annotated[UUID | None, Query(), _cursor(Prefix.FUNCTION_TOOL)]
AfterLabel = Annotated[UUID | None, Query(), _cursor(Prefix.LABEL)]
AfterCalibration = Annotated[UUID | None, Query(), _cursor(Prefix.CALIBRATION)]
AfterEvent = Annotated[UUID | None, Query(), _cursor(Prefix.EVENT)]
AfterResponse = Annotated[UUID | None, Query(), _cursor(Prefix.RESPONSE)]
AfterConversation = Annotated[UUID | None, Query(), _cursor(Prefix.CONVERSATION)]
SuiteIdFilter = Annotated[UUID | None, Query(), _identifier(Prefix.SUITE)]
RunIdFilter = Annotated[UUID | None, Query(), _identifier(Prefix.RUN)]
PageLimit = Annotated[int, Query(ge=1, le=100)]
PageOffset = Annotated[int, Query(ge=0, le=2**31 - 1, description="Rows to skip.")]
AgentVersionPath = Annotated[int, Path(ge=1, le=2**31 - 1)]
SamplePageLimit = Annotated[int, Query(ge=1, le=500)]
FilePageLimit = Annotated[int, Query(ge=1, le=10_000)]
SuiteVersionPath = Annotated[int, Path(ge=1, le=2**31 - 1)]
SuiteVersionFilter = Annotated[int | None, Query(ge=1, le=2**31 - 1)]
Flag = Annotated[str | None, Query(description="true, false, 1 or 0.", pattern="^(true|false|1|0)$")]
SampleIndexFilter = Annotated[
    str | None, Query(description="One index or a comma list."), AfterValidator(_checked_indexes)
]
SampleIndexPath = Annotated[int, Path(ge=0, le=2**31 - 1)]
TaskHint = Annotated[str | None, Query(description="Which task, where an index is in several.")]
ModelHint = Annotated[str | None, Query(description="Which model, where an index is in several.")]
