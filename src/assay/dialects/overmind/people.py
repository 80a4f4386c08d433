"""Users by their numbers: objects of this API name their owner as an integer, and never as null (O§1, gen. C1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.projects.service import find_user_by_number, get_owner, list_users
from assay.core.projects.types import Principal
from assay.dialects.overmind.errors import FieldErrors


class Numbers:
    """The numbers of some users; whoever is not among them is stood in for by the organization's owner."""

    def __init__(self, numbers: Mapping[UUID, int], owner: int) -> None:
        self._numbers = numbers
        self._owner = owner

    def of(self, user_id: UUID | None) -> int:
        """The number of who made an object."""
        return self._owner if user_id is None else self._numbers.get(user_id, self._owner)

    def known(self, user_id: UUID | None) -> int | None:
        """The number of a user; None for nobody."""
        return None if user_id is None else self._numbers.get(user_id)


async def load_numbers(session: AsyncSession, principal: Principal, user_ids: Iterable[UUID | None]) -> Numbers:
    """The numbers of users of the caller's organization."""
    users = await list_users(session, principal, (user_id for user_id in user_ids if user_id is not None))
    owner = await get_owner(session, principal)
    return Numbers({user_id: user.number for user_id, user in users.items()}, owner.number)


async def read_number(session: AsyncSession, principal: Principal, field: str, number: int | None) -> UUID | None:
    """The user that a body names by number.

    Raises:
        FieldErrors: The caller's organization has no such user.
    """
    if number is None:
        return None
    user = await find_user_by_number(session, principal, number)
    if user is None:
        raise FieldErrors.of(field, f'Invalid pk "{number}" - object does not exist.')
    return user.id
