"""What clients send, checked field by field (P§2.1, P§2.2). Unknown and read-only keys are ignored (P§1.1)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, NaiveDatetime, StringConstraints, ValidationError
from pydantic_core import ErrorDetails

from assay.dialects.posthog.errors import FieldError

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=400)]
Reference = Annotated[str, StringConstraints(max_length=255)]


class _Wire(BaseModel):
    model_config = ConfigDict(extra="ignore")


class DatasetInput(_Wire):
    """A dataset to make, or to replace."""

    name: Name
    description: str | None = None
    metadata: Any = None
    deleted: bool | None = None


class DatasetPatch(DatasetInput):
    """Changes of a dataset."""

    name: Name = ""


class DatasetItemInput(_Wire):
    """An item to make, or to replace."""

    dataset: UUID
    input: Any = None
    output: Any = None
    metadata: Any = None
    ref_trace_id: Reference | None = None
    ref_timestamp: AwareDatetime | NaiveDatetime | None = None
    ref_source_id: Reference | None = None
    deleted: bool | None = None


class DatasetItemPatch(DatasetItemInput):
    """Changes of an item."""

    dataset: UUID = UUID(int=0)


Model = TypeVar("Model", bound=BaseModel)

_CODES = {
    "missing": ("required", "This field is required."),
    "string_too_long": ("max_length", "Ensure this field has no more than {max_length} characters."),
    "string_too_short": ("blank", "This field may not be blank."),
}


def parse(model: type[Model], body: Mapping[str, Any]) -> Model:
    """A body as its model; which fields it has is in ``model_fields_set``.

    Raises:
        FieldError: For the first fault.
    """
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise _field_error(error.errors()[0]) from error


def moment(value: datetime | None) -> datetime | None:
    """A time that a client gave; without a zone it is UTC."""
    return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


def _field_error(fault: ErrorDetails) -> FieldError:
    # Alternatives of a union add their own names to the place; the field is its first part.
    attr = str(fault["loc"][0]) if fault["loc"] else "non_field_errors"
    if fault["type"] != "missing" and fault["input"] is None:
        return FieldError(attr, "null", "This field may not be null.")
    code, message = _CODES.get(fault["type"], ("invalid", f"{fault['msg']}."))
    return FieldError(attr, code, message.format(**fault.get("ctx", {})))
