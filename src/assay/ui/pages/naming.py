"""What things are called on a page that shows many of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol
from uuid import UUID

from assay.core.suites.service import list_suites
from assay.core.suites.types import Suite
from assay.ui.edge import Visit

MAX_SUITES = 500
_PAGE = 100


class OfSuite(Protocol):
    """A run, or a schedule."""

    @property
    def suite_id(self) -> UUID:
        """Of which suite it is."""
        ...


async def all_suites(visit: Visit) -> list[Suite]:
    """The suites that the visitor sees, newest first, up to ``MAX_SUITES``: what a choice can hold."""
    found: list[Suite] = []
    after = None
    while len(found) < MAX_SUITES:
        page = await list_suites(visit.session, visit.principal, after=after, limit=_PAGE)
        found += page.items
        if not page.has_more:
            break
        after = page.items[-1].id
    return found


async def suite_names(visit: Visit, things: Iterable[OfSuite]) -> dict[UUID, str]:
    """The names of the suites of some things; a suite beyond those that are listed goes by its id."""
    wanted = {thing.suite_id for thing in things}
    if not wanted:
        return {}
    names = {suite.id: suite.name for suite in await all_suites(visit)}
    return {suite_id: names.get(suite_id, f"suite {suite_id.hex[-8:]}") for suite_id in wanted}
