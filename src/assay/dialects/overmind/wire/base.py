"""Types of fields, and the way from a body to a model (O§1.5).

Clients check types strictly, so nothing is converted on the way in or out: ``"5"`` and ``5.0`` are no integers. Unknown
and read-only fields are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Generic, TypeVar, cast
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, create_model

from assay.dialects.overmind.errors import NO_FIELD, FieldErrors, faults_by_field

INT_MIN, INT_MAX = -(2**63), 2**63 - 1

Id = Annotated[UUID, Field(strict=False)]
Integer = Annotated[int, Field(ge=INT_MIN, le=INT_MAX)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Code20 = Annotated[str, StringConstraints(min_length=1, max_length=20)]
Text64 = Annotated[str, StringConstraints(max_length=64)]
Text128 = Annotated[str, StringConstraints(max_length=128)]
Text255 = Annotated[str, StringConstraints(max_length=255)]
Text512 = Annotated[str, StringConstraints(max_length=512)]
Name64 = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Name255 = Annotated[str, StringConstraints(min_length=1, max_length=255)]

T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)


class Input(BaseModel):
    """What a client sends."""

    model_config = ConfigDict(strict=True, extra="ignore")


class Output(BaseModel):
    """What a client gets."""

    model_config = ConfigDict(protected_namespaces=())


class Page(BaseModel, Generic[T]):
    """Part of a list."""

    count: int
    next: str | None
    previous: str | None
    results: list[T]


def partial(model: type[Model], name: str) -> type[Model]:
    """The same input with every field optional, for PATCH; a field's type stays, so null stays as it was."""
    fields: dict[str, Any] = {
        field: (info.rebuild_annotation(), None) for field, info in model.model_fields.items() if info.is_required()
    }
    made = create_model(name, __base__=model, __module__=model.__module__, **fields)
    made.__doc__ = f"Changes: {model.__doc__}"
    return made


def parse(model: type[Model], body: Any) -> Model:
    """A body as its model; which fields it has is in ``model_fields_set``.

    Raises:
        FieldErrors: With every fault, by field.
    """
    if not isinstance(body, dict):
        kind = type(body).__name__
        raise FieldErrors.of(NO_FIELD, f"Invalid data. Expected a dictionary, but got {kind}.")
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise FieldErrors(faults_by_field(error.errors())) from error


def sent(wire: BaseModel, names: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The fields that a client sent, in the core's words.

    Args:
        wire: What was parsed.
        names: Fields that the core calls otherwise.
    """
    renamed = names or {}
    values = wire.model_dump(include=wire.model_fields_set)
    return {renamed.get(name, name): value for name, value in values.items()}


def as_object(value: Any) -> dict[str, Any]:
    """A JSON object; of any other value an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
