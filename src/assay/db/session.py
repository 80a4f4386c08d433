"""One request, one transaction, and what has to wait for it.

A request or an activity opens one ``transaction``, which commits at its end; nothing inside commits. What must not
happen unless the rows are really there (starting a workflow, removing a file's content) is queued with
``after_commit``. What was done outside the database for rows that may never be (content that was stored) is undone
by ``after_rollback``.

A crash between the commit and the effects loses the effects, so each needs a sweep that repeats it, and must bear being
done twice.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from assay.db.engine import SessionFactory

Effect = Callable[[], Awaitable[object]]

_COMMITTED = "assay.after_commit"
_ROLLED_BACK = "assay.after_rollback"

_log = structlog.stdlib.get_logger(__name__)


def after_commit(session: AsyncSession, effect: Effect) -> None:
    """Run ``effect`` once the session's ``transaction`` has committed; drop it on rollback."""
    _queue(session, _COMMITTED).append(effect)


def after_rollback(session: AsyncSession, effect: Effect) -> None:
    """Run ``effect`` if the session's ``transaction`` is given up before its commit."""
    _queue(session, _ROLLED_BACK).append(effect)


@asynccontextmanager
async def transaction(sessions: SessionFactory) -> AsyncGenerator[AsyncSession]:
    """A session that commits on exit, gives its connection back, then runs the queued effects in order.

    An effect that fails is logged and does not fail the caller: the rows are committed by then, and saying otherwise
    would make clients repeat what was done.
    """
    async with sessions() as session:
        try:
            yield session
        except BaseException:
            await session.rollback()
            await _run(_queue(session, _ROLLED_BACK))
            raise
        # A commit that raises may still have happened (the connection broke while waiting for the answer), so
        # neither queue runs then; the sweeps find out which it was.
        await session.commit()
    await _run(_queue(session, _COMMITTED))


async def _run(effects: list[Effect]) -> None:
    while effects:
        effect = effects.pop(0)
        try:
            await effect()
        except Exception:
            _log.exception("effect_failed", effect=getattr(effect, "__qualname__", repr(effect)))


def _queue(session: AsyncSession, name: str) -> list[Effect]:
    queue: list[Effect] = session.info.setdefault(name, [])
    return queue
