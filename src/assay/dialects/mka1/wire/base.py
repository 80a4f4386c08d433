"""What all wire models of the dialect share."""

from __future__ import annotations

from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

MAX_INT = 2**53 - 1

Item = TypeVar("Item")

UnixSeconds = Annotated[int, Field(description="Unix time in seconds.")]


class RequestModel(BaseModel):
    """A body that a client sends. Unknown keys are refused, not dropped."""

    model_config = ConfigDict(extra="forbid", strict=False)


class ResponseModel(BaseModel):
    """A body that we send; nulls are written."""

    model_config = ConfigDict(extra="forbid")


class WireList(ResponseModel, Generic[Item]):
    """A page of a list (M§1.9)."""

    object: Literal["list"]
    data: list[Item]
    first_id: str | None
    last_id: str | None
    has_more: bool
