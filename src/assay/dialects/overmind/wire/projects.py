"""Projects and API keys (O§2.5, O§2.8)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, StringConstraints

from assay.dialects.overmind.wire.base import Id, Input, Name255, Output, Text255

MAX_KEY_DAYS = 36_500
_Slug = Annotated[str, StringConstraints(min_length=1, max_length=255)]


class ProjectInput(Input):
    """A project to make."""

    name: Name255
    slug: _Slug
    description: str = ""
    is_active: bool = True
    settings: Any = None


class ProjectPatch(ProjectInput):
    """Changes of a project."""

    name: Name255 = ""
    slug: _Slug = ""


class Project(Output):
    """A project."""

    id: UUID
    created_at: datetime
    updated_at: datetime
    user: int
    organisation: UUID
    name: str
    slug: str
    description: str
    is_active: bool
    settings: Any


class ApiKeyInput(Input):
    """A key to make."""

    project: Id
    name: Text255 = ""
    expires_in_days: Annotated[int, Field(ge=1, le=MAX_KEY_DAYS)] | None = None


class ApiKey(Output):
    """What may be shown of a key."""

    id: UUID
    name: str
    prefix: str
    project: UUID
    is_active: bool
    expires_at: datetime | None
    last_used_at: datetime | None
    created_at: datetime


class IssuedApiKey(Output):
    """A new key, shown this one time."""

    id: UUID
    key: str
    name: str
    prefix: str
    created_at: datetime


class Me(Output):
    """The user of a key."""

    id: int
    email: str
    email_verified: bool
