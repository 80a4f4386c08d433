"""What the pages know of who looks at them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from assay.core.projects.types import Principal


class Refusal(StrEnum):
    """Why somebody was not let in. Whether an account exists is not told apart from a wrong password."""

    WRONG = "wrong"
    LOCKED = "locked"


class Account(NamedTuple):
    """A person with a password."""

    user_id: UUID
    project_ids: tuple[UUID, ...]
    """All that they may see, oldest first; at least one."""


class TokenPair(NamedTuple):
    """What an API client signs in with. Neither is stored."""

    access: str
    refresh: str


class NewSession(NamedTuple):
    """A session, with what the cookie is to hold. It is stored nowhere."""

    token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Visitor:
    """Whoever a browser's session stands for."""

    session_id: UUID
    principal: Principal
    user_id: UUID
    name: str
    email: str | None
    by_key: bool
    """Whether they came in with a key, and so see its project alone."""
