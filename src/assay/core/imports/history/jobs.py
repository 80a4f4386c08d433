"""Imports that outlast a request (R43).

A client waits five seconds and an import may take minutes, so it is a task of the process: whoever asks for the same
thing meanwhile, or within ten minutes of its end, takes part in it. It is not durable on purpose, since a workflow
would have to store the caller's token. Nothing is lost with the process: an import is stored as a whole or not at all,
and asking again begins it anew.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import structlog

from assay.core.imports.history.errors import ImportGoesOnError, TooManyImportsError
from assay.core.imports.history.service import import_history
from assay.core.imports.history.sources import FolderSource, HubSource, ResultSource, check_repository
from assay.core.imports.history.types import HistoryRequest, HistoryResult
from assay.core.projects.types import Principal
from assay.db.engine import SessionFactory
from assay.kit.errors import DomainError
from assay.outbound.client import GuardedClient

PATIENCE_SECONDS = 3.5
KEPT_SECONDS = 600.0
"""How long a result waits for whoever asked for it."""
MAX_IMPORTS = 8

_log = structlog.stdlib.get_logger(__name__)


class HistoryImporter:
    """The historical imports of a process.

    Args:
        sessions: Where results go.
        client: Reaches the hub.
        hub_url: The hub.
        folder: Read instead of the hub when given: repositories as subfolders.
        patience_seconds: How long one request waits.
    """

    def __init__(
        self,
        sessions: SessionFactory,
        client: GuardedClient,
        *,
        hub_url: str,
        folder: Path | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._sessions = sessions
        self._client = client
        self._hub_url = hub_url
        self._folder = folder
        self._patience_seconds = patience_seconds
        self._imports: dict[bytes, asyncio.Task[HistoryResult]] = {}

    async def run(self, principal: Principal, request: HistoryRequest, *, token: str) -> HistoryResult:
        """Import, or take part in an equal import.

        Raises:
            ImportGoesOnError: It takes longer; ask again.
            TooManyImportsError: The process has enough to do.
            HistorySourceError: The repository's name or revision is none.
            DomainError: What ``import_history`` raises.
        """
        check_repository(request.repository, request.revision)
        key = _key(principal, request, token)
        task = self._imports.get(key)
        if task is None:
            source = self._source(request, token)
            task = self._start(key, import_history(self._sessions, principal, source, request))
        await asyncio.wait({task}, timeout=self._patience_seconds)
        if not task.done():
            raise ImportGoesOnError
        self._imports.pop(key, None)
        return task.result()

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = list(self._imports.values())
        self._imports.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _source(self, request: HistoryRequest, token: str) -> ResultSource:
        if self._folder is not None:
            return FolderSource(self._folder, request.repository)
        return HubSource(self._client, self._hub_url, request.repository, revision=request.revision, token=token)

    def _start(self, key: bytes, work: Coroutine[Any, Any, HistoryResult]) -> asyncio.Task[HistoryResult]:
        if sum(not task.done() for task in self._imports.values()) >= MAX_IMPORTS:
            work.close()
            raise TooManyImportsError(MAX_IMPORTS)
        task = self._imports[key] = asyncio.create_task(work)
        loop = asyncio.get_running_loop()

        def settle(done: asyncio.Task[HistoryResult]) -> None:
            if not done.cancelled():
                fault = done.exception()
                if fault is not None and not isinstance(fault, DomainError):
                    _log.error("history_import_failed", exc_info=fault)
            loop.call_later(KEPT_SECONDS, self._forget, key, done)

        task.add_done_callback(settle)
        return task

    def _forget(self, key: bytes, done: asyncio.Task[HistoryResult]) -> None:
        if self._imports.get(key) is done:
            del self._imports[key]


def _key(principal: Principal, request: HistoryRequest, token: str) -> bytes:
    """What makes two imports the same. Of the token only this digest is kept, and only in memory."""
    caller = (principal.project_id, principal.user_id, principal.on_behalf_of, principal.role)
    return hashlib.sha256(repr((caller, request, token)).encode(errors="surrogatepass")).digest()
