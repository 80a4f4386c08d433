"""SIGKILL to the API while events stream in: what got a 200 is there, and what is sent again is there once."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select
from tests.support.assay_process import running_assay
from tests.support.waiting import eventually

from assay.core.events.models import EventRow
from assay.core.projects.service import create_organization
from assay.db.engine import SessionFactory
from assay.db.session import transaction

SENDERS = 4
BATCH = 50
ANSWERED_BEFORE_THE_KILL = 40

pytestmark = pytest.mark.timeout(180)


class Senders:
    """Clients that send batch after batch until the server is gone."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token
        self.answered: list[list[str]] = []
        """The uuids of batches that got a 200."""
        self.in_flight: list[list[str]] = []
        """Of those that got nothing."""

    def body(self, uuids: list[str]) -> dict[str, object]:
        """A batch."""
        batch = [
            {"event": "$ai_generation", "distinct_id": "ann", "uuid": uuid, "properties": {"$ai_input": "x" * 500}}
            for uuid in uuids
        ]
        return {"api_key": self._token, "batch": batch}

    async def send(self) -> None:
        """Send until it fails."""
        async with httpx.AsyncClient(base_url=self._url, timeout=60) as http:
            while True:
                uuids = [str(uuid4()) for _ in range(BATCH)]
                try:
                    answer = await http.post("/batch/", json=self.body(uuids))
                except httpx.TransportError:
                    self.in_flight.append(uuids)
                    return
                assert answer.status_code == 200, answer.text
                self.answered.append(uuids)


async def test_the_api_is_killed_while_events_stream_in(
    sessions: SessionFactory, database_url: str, temporal_address: str, tmp_path: Path
) -> None:
    async with transaction(sessions) as session:
        token = (await create_organization(session, name="First")).capture_token
    home = tmp_path / "home"
    home.mkdir()
    variables = {
        "ASSAY_DATABASE_URL": database_url,
        "ASSAY_TEMPORAL_ADDRESS": temporal_address,
        "ASSAY_SECRET_KEY": "0123456789abcdef0123456789abcdef",
    }
    arguments = ("api", "--port", "0", "--json")

    async with running_assay(*arguments, home=home, variables=variables) as api:
        senders = Senders(api.url, token)
        sending = [asyncio.ensure_future(senders.send()) for _ in range(SENDERS)]
        await eventually(lambda: len(senders.answered) >= ANSWERED_BEFORE_THE_KILL, timeout=60)
        await api.end(signal.SIGKILL)
        await asyncio.gather(*sending)
    answered = {UUID(uuid) for batch in senders.answered for uuid in batch}
    assert answered <= set(await _stored(sessions))

    async with (
        running_assay(*arguments, home=home, variables=variables) as api,
        httpx.AsyncClient(base_url=api.url, timeout=60) as http,
    ):
        for uuids in (*senders.in_flight, *senders.answered[-SENDERS:]):
            assert (await http.post("/batch/", json=senders.body(uuids))).status_code == 200
    everything = await _stored(sessions)
    assert len(everything) == len(set(everything))
    assert set(everything) == answered | {UUID(uuid) for batch in senders.in_flight for uuid in batch}


async def _stored(sessions: SessionFactory) -> list[UUID]:
    async with sessions() as session:
        return list(await session.scalars(select(EventRow.uuid)))
