"""What clients send, checked field by field (P§2.1, P§2.2). Unknown and read-only keys are ignored (P§1.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar, get_args
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, NaiveDatetime, StringConstraints, ValidationError
from pydantic_core import ErrorDetails

from assay.dialects.edge.bodies import BodyError, check_json, parse_json
from assay.dialects.posthog.errors import FieldError

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=400)]
Reference = Annotated[str, StringConstraints(max_length=255)]


class Wire(BaseModel):
    """What a client sends."""

    model_config = ConfigDict(extra="ignore")


class FormFields(dict[str, Any]):
    """The fields of a form, all of them text: those that take JSON are read as JSON."""


class TakesJson:
    """Marks a field that a form writes as JSON."""


Json = Annotated[Any, TakesJson()]
JsonObject = Annotated[dict[str, Any], TakesJson()]
JsonList = Annotated[list[Any], TakesJson()]


class DatasetInput(Wire):
    """A dataset to make, or to replace."""

    name: Name
    description: str | None = None
    metadata: Json = None
    deleted: bool | None = None


class DatasetPatch(DatasetInput):
    """Changes of a dataset."""

    name: Name = ""


class DatasetItemInput(Wire):
    """An item to make, or to replace."""

    dataset: UUID
    input: Json = None
    output: Json = None
    metadata: Json = None
    ref_trace_id: Reference | None = None
    ref_timestamp: AwareDatetime | NaiveDatetime | None = None
    ref_source_id: Reference | None = None
    deleted: bool | None = None


class DatasetItemPatch(DatasetItemInput):
    """Changes of an item."""

    dataset: UUID = UUID(int=0)


Model = TypeVar("Model", bound=BaseModel)

_CODES = {
    "enum": ("invalid_choice", '"{given}" is not a valid choice. Choose from {expected}.'),
    "list_type": ("not_a_list", "Expected a list of items."),
    "dict_type": ("invalid", "Expected an object."),
    "model_type": ("invalid", "Expected an object."),
    "greater_than_equal": ("min_value", "Ensure this value is greater than or equal to {ge}."),
    "less_than_equal": ("max_value", "Ensure this value is less than or equal to {le}."),
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
        return model.model_validate(_read_form_json(model, body) if isinstance(body, FormFields) else body)
    except ValidationError as error:
        raise _field_error(model, error.errors()[0]) from error


def _read_form_json(model: type[BaseModel], form: FormFields) -> dict[str, Any]:
    """The fields of a form, with JSON where the model has it."""
    fields = dict(form)
    for name, field in model.model_fields.items():
        if name in fields and any(isinstance(mark, TakesJson) for mark in field.metadata):
            fields[name] = _form_json(name, fields[name])
    return fields


def _form_json(name: str, text: str) -> Any:
    try:
        check_json(text.encode())
        return parse_json(text.encode())
    except BodyError as error:
        raise FieldError(name, "invalid", f"Value must be valid JSON. {error.message}") from error


def moment(value: datetime | None) -> datetime | None:
    """A time that a client gave; without a zone it is UTC."""
    return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


def _field_error(model: type[BaseModel], fault: ErrorDetails) -> FieldError:
    attr = "__".join(_place(model, fault["loc"])) or "non_field_errors"
    if fault["type"] != "missing" and fault["input"] is None:
        return FieldError(attr, "null", "This field may not be null.")
    known = _CODES.get(fault["type"])
    if known is None:
        return FieldError(attr, "invalid", f"{fault['msg']}.")
    code, message = known
    return FieldError(attr, code, message.format(**fault.get("ctx", {}), given=str(fault["input"])[:64]))


def _place(model: type[BaseModel], place: Sequence[str | int]) -> Iterator[str]:
    """The fields on the way to a fault. Alternatives of a union add their own names to it, which are left out."""
    if not place:
        return
    yield str(place[0])
    field = model.model_fields.get(str(place[0]))
    inner = () if field is None else (field.annotation, *get_args(field.annotation))
    for kind in inner:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _place(kind, place[1:])
            return
