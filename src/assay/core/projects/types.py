"""What the rest of Assay knows about callers.

An organization has projects and members. A key belongs to one project and one user, and carries scopes. Every request
is made by a ``Principal``: a key, resolved. What it may do is the intersection of the key's scopes and the user's role;
what it may see is its project, or, when it acts on behalf of an end user, that end user's own objects in the project.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from assay.core.projects.errors import (
    DelegationForbiddenError,
    InvalidDelegateError,
    MissingRoleError,
    MissingScopeError,
)

MAX_DELEGATE_LENGTH = 150


class Role(StrEnum):
    """What a user may do in an organization, from least to most."""

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"
    OWNER = "owner"

    def covers(self, other: Role) -> bool:
        """Whether this role may do all that ``other`` may."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(other)


class Scope(StrEnum):
    """Everything a key can be allowed to do.

    The published APIs write their scopes in two ways, ``read:evals`` and ``dataset:read``; both are kept as they are,
    so that a key's scopes read the same as in the API's own documentation. Writing implies reading.
    """

    ALL = "*"

    EVALS_READ = "read:evals"
    EVALS_WRITE = "write:evals"
    AGENTS_READ = "read:agents"
    AGENTS_WRITE = "write:agents"
    RESPONSES_READ = "read:responses"
    RESPONSES_WRITE = "write:responses"
    FILES_READ = "read:files"
    FILES_WRITE = "write:files"

    DATASET_READ = "dataset:read"
    DATASET_WRITE = "dataset:write"
    EVALUATION_READ = "evaluation:read"
    EVALUATION_WRITE = "evaluation:write"
    PROVIDER_KEY_READ = "llm_provider_key:read"
    PROVIDER_KEY_WRITE = "llm_provider_key:write"
    ANALYTICS_READ = "llm_analytics:read"
    ANALYTICS_WRITE = "llm_analytics:write"

    JOB_READ = "job:read"
    JOB_WRITE = "job:write"

    PROJECT_READ = "project:read"
    PROJECT_WRITE = "project:write"
    API_KEY_READ = "api_key:read"
    API_KEY_WRITE = "api_key:write"

    EVENT_CAPTURE = "event:capture"
    """Send events. The only scope of a project's public capture token."""

    @property
    def writes(self) -> bool:
        """Whether the scope allows changes that a viewer must not make."""
        return "write" in self.value.split(":")

    @property
    def granting(self) -> frozenset[Scope]:
        """The scopes of which any one is enough: itself, its writing twin, and ``*``."""
        twin = ":".join("write" if part == "read" else part for part in self.value.split(":"))
        return frozenset({self, Scope(twin), Scope.ALL})


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller of one request."""

    organization_id: UUID
    project_id: UUID
    user_id: UUID | None
    """Owner of the key; None for a capture token, which belongs to nobody."""
    role: Role
    scopes: frozenset[Scope]
    key_id: UUID | None
    """The key used; None for a capture token and for the operator at the command line."""
    may_delegate: bool = False
    """Whether the key may act on behalf of end users."""
    on_behalf_of: str | None = None
    """The end user this call is made for: narrows what is visible to that user's own objects."""

    @property
    def is_delegated(self) -> bool:
        """Whether the call is made on behalf of an end user."""
        return self.on_behalf_of is not None

    def allows(self, scope: Scope) -> bool:
        """Whether both the key's scopes and the user's role permit it."""
        if scope.writes and not self.role.covers(Role.EDITOR):
            return False
        return not self.scopes.isdisjoint(scope.granting)

    def require(self, scope: Scope) -> None:
        """Refuse the call unless it is allowed.

        Raises:
            MissingScopeError: The key lacks the scope, or its user is a viewer and the scope writes.
        """
        if not self.allows(scope):
            raise MissingScopeError(scope.value)

    def require_role(self, role: Role) -> None:
        """Refuse the call unless it is made directly by a user with this role or a higher one.

        Raises:
            MissingRoleError: The user's role is lower, or the call is delegated.
        """
        if self.is_delegated or not self.role.covers(role):
            raise MissingRoleError(role.value)

    def delegate(self, on_behalf_of: str) -> Principal:
        """The same caller, narrowed to one end user (header ``X-On-Behalf-Of``).

        Args:
            on_behalf_of: 1-150 printable ASCII characters, not ``*``.

        Raises:
            DelegationForbiddenError: The key may not delegate.
            InvalidDelegateError: The name is not of that form.
        """
        if not self.may_delegate:
            raise DelegationForbiddenError
        printable = on_behalf_of.isascii() and on_behalf_of.isprintable() and on_behalf_of.strip() != ""
        if not printable or len(on_behalf_of) > MAX_DELEGATE_LENGTH or on_behalf_of == "*":
            raise InvalidDelegateError(MAX_DELEGATE_LENGTH)
        return replace(self, on_behalf_of=on_behalf_of)


@dataclass(frozen=True, slots=True)
class Project:
    """A project: the unit that owns everything else."""

    id: UUID
    number: int
    """The same project for APIs that name it by an integer."""
    organization_id: UUID
    name: str
    capture_token: str
    """Public token (``phc_…``) with which applications send events."""
    created_at: datetime
    updated_at: datetime
    slug: str
    """A name for URLs, unique in the organization; made from the name where none was given."""
    description: str
    is_active: bool
    settings: Any
    """What a client keeps with the project."""


@dataclass(frozen=True, slots=True)
class User:
    """A person who owns keys."""

    id: UUID
    number: int
    """The same user for APIs that name it by an integer."""
    name: str
    email: str | None
    role: Role
    """Role in the organization through which the user was found."""


@dataclass(frozen=True, slots=True)
class Member:
    """A person of an organization."""

    id: UUID
    name: str
    email: str | None
    """By which they sign in; None for who comes in by keys alone."""
    role: Role
    joined_at: datetime
    deactivated_at: datetime | None
    """Since when they are shut out."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What may be shown of a key. The key itself is not stored."""

    id: UUID
    project_id: UUID
    user_id: UUID
    name: str
    prefix: str
    """The first characters of the key, to tell keys apart."""
    scopes: frozenset[Scope]
    may_delegate: bool
    created_at: datetime
    last_used_at: datetime | None
    """Correct to about a minute."""
    expires_at: datetime | None
    revoked_at: datetime | None


class IssuedApiKey(NamedTuple):
    """A new key, with the secret that is shown this one time."""

    api_key: ApiKey
    token: str


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client needs to use a project."""

    organization_id: UUID
    project_id: UUID
    project_number: int
    capture_token: str
    api_key: str | None
    """The key, when it was made or preset just now; None when it was shown before."""
