"""What filters need beyond the event: Hog, for those of type ``hogql``, and what is known of the person (P§3.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.events.service import get_persons
from assay.core.events.types import StoredEvent
from assay.sandbox.hog import HogCompileError, HogLimits, compile_expression, run_program
from assay.scoring.online import Condition, FilterError

FILTER_LIMITS: Final = HogLimits(seconds=0.25, memory_bytes=16 * 1024 * 1024, steps=20_000, printed_characters=0)
"""Of one expression on one event. It runs while an event is captured, so it may search a text, not compute at length:
a pattern of usual size passes over about a megabyte.
"""

_compiled = lru_cache(maxsize=1024)(compile_expression)


def evaluate_expression(text: str, variables: Mapping[str, Any]) -> object:
    """What an expression says of an event.

    Raises:
        FilterError: It is no expression of Hog, or fails.
    """
    try:
        program = _compiled(text)
    except HogCompileError as error:
        raise FilterError(error.message) from error
    outcome = run_program(program, variables, limits=FILTER_LIMITS)
    if outcome.error is not None:
        raise FilterError(outcome.error.text)
    return outcome.value


async def load_persons(
    session: AsyncSession, project_id: UUID, conditions: Iterable[Condition], events: Sequence[StoredEvent]
) -> Mapping[str, Mapping[str, Any]]:
    """What is known of the persons behind events, by distinct id; nothing if no filter looks at it."""
    if not any(item.sees_person for condition in conditions for item in condition.properties):
        return {}
    return await get_persons(session, project_id, sorted({event.distinct_id for event in events}))
