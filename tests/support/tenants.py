"""Two organizations with keys of every kind, for tests of who may see and do what."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from assay.core.projects.authentication import Authenticator
from assay.core.projects.service import create_api_key, create_organization, create_project
from assay.core.projects.service import get_operator as operator_of
from assay.core.projects.types import Principal, Scope
from assay.db.engine import SessionFactory
from assay.db.session import transaction

_READING = [scope.value for scope in Scope if "read" in scope.value]


@dataclass(frozen=True, slots=True)
class Tenants:
    """Tokens."""

    all_scopes: str
    """May do everything in the first project, but not delegate."""
    same_project: str
    """Another key like ``all_scopes``."""
    read_only: str
    no_scopes: str
    delegating: str
    """May do everything in the first project, and act for end users."""
    other_project: str
    """Everything, in another project of the same organization."""
    other_organization: str
    """Everything, in another organization."""
    capture_token: str
    """The first project's public token, which only sends events."""
    other_capture_token: str
    """Of the other organization's project."""


async def make_tenants(sessions: SessionFactory) -> Tenants:
    """Make the organizations, projects and keys."""
    async with transaction(sessions) as session:
        first = await create_organization(session, name="First")
        other = await create_organization(session, name="Other")
        assert first.api_key is not None
        assert other.api_key is not None
        owner = await Authenticator().authenticate(session, first.api_key)
        project = await create_project(session, owner, name="Second")
        neighbour = await operator_of(session, project=project.id)

        async def key(name: str, scopes: Iterable[str], *, principal: Principal = owner) -> str:
            return (await create_api_key(session, principal, name=name, scopes=scopes)).token

        return Tenants(
            all_scopes=await key("all", ["*"]),
            same_project=await key("same", ["*"]),
            read_only=await key("reading", _READING),
            no_scopes=await key("none", []),
            delegating=first.api_key,
            other_project=await key("neighbour", ["*"], principal=neighbour),
            other_organization=other.api_key,
            capture_token=first.capture_token,
            other_capture_token=other.capture_token,
        )
