"""Answers are remembered for a moment and no longer."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from assay.core.projects import service
from assay.core.projects.authentication import Authenticator
from assay.core.projects.errors import InvalidCredentialsError
from assay.core.projects.types import Credentials


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


class StatementCounter:
    def __init__(self, engine: AsyncEngine) -> None:
        self.count = 0
        self._engine = engine.sync_engine

    def _add(self, *_: object) -> None:
        self.count += 1

    def __enter__(self) -> StatementCounter:
        event.listen(self._engine, "before_cursor_execute", self._add)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(self._engine, "before_cursor_execute", self._add)


@pytest.fixture
async def credentials(session: AsyncSession) -> Credentials:
    return await service.create_organization(session, name="Acme")


def key_of(credentials: Credentials) -> str:
    assert credentials.api_key is not None
    return credentials.api_key


async def test_a_remembered_answer_costs_no_query(
    session: AsyncSession, engine: AsyncEngine, credentials: Credentials
) -> None:
    authenticator = Authenticator()
    principal = await authenticator.authenticate(session, key_of(credentials))
    sender = await authenticator.authenticate_capture(session, credentials.capture_token)
    with StatementCounter(engine) as statements:
        assert await authenticator.authenticate(session, key_of(credentials)) == principal
        assert await authenticator.authenticate_capture(session, credentials.capture_token) == sender
    assert statements.count == 0


async def test_a_revoked_key_is_refused_when_the_moment_is_over(
    session: AsyncSession, credentials: Credentials
) -> None:
    clock = Clock()
    authenticator = Authenticator(ttl_seconds=5, clock=clock)
    principal = await authenticator.authenticate(session, key_of(credentials))
    assert principal.key_id is not None
    await service.revoke_api_key(session, principal, key_id=principal.key_id)
    clock.now = 4.9
    assert await authenticator.authenticate(session, key_of(credentials)) == principal
    clock.now = 5.0
    with pytest.raises(InvalidCredentialsError):
        await authenticator.authenticate(session, key_of(credentials))


async def test_refusals_are_not_remembered(session: AsyncSession) -> None:
    authenticator = Authenticator()
    preset = "a-key-that-comes-a-bit-later"
    with pytest.raises(InvalidCredentialsError):
        await authenticator.authenticate(session, preset)
    await service.create_organization(session, name="Acme", api_key=preset)
    await authenticator.authenticate(session, preset)


async def test_the_two_kinds_of_token_are_not_mixed_up(session: AsyncSession, credentials: Credentials) -> None:
    authenticator = Authenticator()
    await authenticator.authenticate_capture(session, credentials.capture_token)
    with pytest.raises(InvalidCredentialsError):
        await authenticator.authenticate(session, credentials.capture_token)


async def test_the_oldest_answer_makes_room(
    session: AsyncSession, engine: AsyncEngine, credentials: Credentials
) -> None:
    authenticator = Authenticator(capacity=1)
    await authenticator.authenticate(session, key_of(credentials))
    await authenticator.authenticate_capture(session, credentials.capture_token)
    with StatementCounter(engine) as statements:
        await authenticator.authenticate_capture(session, credentials.capture_token)
        assert statements.count == 0
        await authenticator.authenticate(session, key_of(credentials))
        assert statements.count > 0


@pytest.mark.parametrize("ttl_seconds", [-1, 5.1])
def test_the_moment_is_bounded(ttl_seconds: float) -> None:
    with pytest.raises(ValueError, match="ttl_seconds"):
        Authenticator(ttl_seconds=ttl_seconds)
