"""Agents named as models: ``agent:<agent id>``, or ``agent:<agent id>@<version>`` to hold on to a version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.agents.references import read_reference
from assay.core.agents.service import get_agent, get_version
from assay.core.projects.types import Principal
from assay.core.runs.errors import RunInputError
from assay.kit.errors import NotFoundError

PREFIX = "agent:"


class AgentReference(NamedTuple):
    """An agent named as a model."""

    agent_id: UUID
    version: int | None


def is_agent(model: str) -> bool:
    """Whether a candidate is an agent."""
    return model.startswith(PREFIX)


def read_agent(model: str) -> AgentReference:
    """Which agent a candidate is.

    Raises:
        RunInputError: It is not of the form.
    """
    written, at, number = model.removeprefix(PREFIX).partition("@")
    agent_id = read_reference(written)
    if agent_id is None or (at and not (number.isdecimal() and 1 <= int(number[:10]) < 2**31)):
        raise RunInputError(
            f"`models`: {model[:120]!r} must be `agent:<agent id>` or `agent:<agent id>@<version>`.", param="models"
        )
    return AgentReference(agent_id, int(number) if at else None)


async def check_agents(session: AsyncSession, principal: Principal, models: Sequence[str]) -> None:
    """See that the agents among the candidates are there.

    Raises:
        RunInputError: One is not visible to the caller, or has no such version.
    """
    for model in filter(is_agent, models):
        reference = read_agent(model)
        try:
            await get_agent(session, principal, agent_id=reference.agent_id)
            if reference.version is not None:
                await get_version(session, principal, agent_id=reference.agent_id, number=reference.version)
        except NotFoundError as error:
            raise RunInputError(f"`models`: {model[:120]!r}: {error.message}", param="models") from error
