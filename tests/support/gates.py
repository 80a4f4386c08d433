"""Gates in the database: what a worker writes is held back at named moments, so that it can be killed exactly there.

A moment is a text: a table, and what of it is written. The worker that comes to a closed gate waits inside its
transaction; when it is killed there, all that it had not yet committed is gone.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from tests.support.waiting import eventually

FIRST_GATE = 5711

_SET_UP = """
CREATE TABLE test_gates (moment text PRIMARY KEY, gate integer NOT NULL UNIQUE);
CREATE FUNCTION hold_at_gate() RETURNS trigger AS $$
DECLARE
    written jsonb := to_jsonb(NEW);
    here text;
    found integer;
BEGIN
    here := CASE TG_TABLE_NAME
        WHEN 'job_steps' THEN 'step/' || (written ->> 'job_id') || '/' || (written ->> 'key')
        WHEN 'job_iterations' THEN 'iteration/' || (written ->> 'job_id') || '/' || (written ->> 'position')
        WHEN 'datasets' THEN 'outputs/' || (written -> 'metadata' ->> 'job')
        WHEN 'dataset_items' THEN 'scores/' || (written ->> 'dataset_id')
        WHEN 'target_suggestions' THEN 'suggestion/' || (written ->> 'job_id')
        WHEN 'jobs' THEN (written ->> 'status') || '/' || (written ->> 'id')
    END;
    SELECT gate INTO found FROM test_gates WHERE moment = here;
    IF found IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(found);
    END IF;
    RETURN NEW;
END $$ LANGUAGE plpgsql;
"""
_EVENTS = {
    "job_steps": "INSERT",
    "job_iterations": "INSERT",
    "datasets": "INSERT",
    "dataset_items": "UPDATE",
    "target_suggestions": "INSERT",
    "jobs": "UPDATE",
}


class Gates:
    """The gates of one database."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._closed: dict[str, int] = {}

    async def close(self, moments: Sequence[str]) -> None:
        """From now on, whoever comes to one of these moments waits there."""
        for moment in moments:
            gate = FIRST_GATE + await self._connection.fetchval("SELECT count(*) FROM test_gates")
            await self._connection.execute("SELECT pg_advisory_lock($1)", gate)
            await self._connection.execute("INSERT INTO test_gates VALUES ($1, $2)", moment, gate)
            self._closed[moment] = gate

    async def held(self, *, timeout: float) -> None:
        """Wait until somebody waits at every closed gate."""

        async def check() -> bool:
            waiting = "SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            found = {row["objid"] for row in await self._connection.fetch(waiting)}
            missing = [moment for moment, gate in self._closed.items() if gate not in found]
            assert not missing, f"nobody is at {missing}"
            return True

        await eventually(check, timeout=timeout)

    async def open(self) -> None:
        """Let everybody through who waits, and whoever comes."""
        await self._connection.execute("SELECT pg_advisory_unlock_all()")
        self._closed.clear()


@asynccontextmanager
async def open_gates(database_url: str) -> AsyncGenerator[Gates]:
    """Gates on a database of the test's own, all open."""
    connection: Any = await asyncpg.connect(database_url, ssl=False)
    try:
        await connection.execute(_SET_UP)
        for table, event in _EVENTS.items():
            await connection.execute(
                f"CREATE TRIGGER hold_at_gate BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION hold_at_gate()"
            )
        yield Gates(connection)
    finally:
        await connection.close()
