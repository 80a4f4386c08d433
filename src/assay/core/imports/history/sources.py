"""Where historical results are read: a dataset repository of the Hugging Face Hub, or a folder of the operator's.

Hub endpoints (https://huggingface.co/docs/hub/api): ``GET /api/datasets/{repo}/tree/{revision}/{path}`` lists files and
names the next page in its ``Link`` header; ``GET /datasets/{repo}/resolve/{revision}/{path}`` gives a file's content,
for large files by a redirect to another host. Only the caller's token is ever sent, and only to the hub itself.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, cast
from urllib.parse import quote

import orjson

from assay.core.imports.history.errors import (
    HistorySourceError,
    HistorySourceUnavailableError,
    HistoryTooLargeError,
)
from assay.outbound.client import GuardedClient, OutboundLimits, OutboundResponse
from assay.outbound.hub import HubAnswerError, HubAwayError, HubClient, HubRefusedError

MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_LISTING_BYTES = 8 * 1024 * 1024
"""Of one page."""
MAX_PAGES = 50
MAX_PATH_LENGTH = 1024
LISTING_TIMEOUT_SECONDS = 20.0
FILE_TIMEOUT_SECONDS = 120.0

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


class ResultSource(Protocol):
    """Files of results."""

    async def list_files(self, prefix: str | None) -> list[str]:
        """Paths of all files below a prefix.

        Raises:
            HistorySourceError: The repository cannot be read.
            HistorySourceUnavailableError: Not at the moment.
        """
        ...

    async def read(self, path: str) -> bytes | None:
        """A file's content; None when there is no such file.

        Raises:
            HistorySourceError, HistorySourceUnavailableError: As for ``list_files``.
            HistoryTooLargeError: It has more than 64 MiB.
        """
        ...


def check_repository(repository: str, revision: str) -> None:
    """Refuse what cannot name a repository.

    Raises:
        HistorySourceError: Naming the field.
    """
    if not _REPOSITORY.fullmatch(repository) or ".." in repository:
        raise HistorySourceError("`source.repo` must have the form owner/name.", param="source.repo")
    if not 1 <= len(revision) <= 255 or not revision.isprintable() or ".." in revision:
        raise HistorySourceError("`source.revision` must be a branch, tag or commit.", param="source.revision")


def check_path(path: str, *, param: str) -> str:
    """The path, if it stays within its repository.

    Raises:
        HistorySourceError: It is absolute, climbs up, or holds characters that no path has.
    """
    parts = PurePosixPath(path).parts
    if (
        not parts
        or len(path) > MAX_PATH_LENGTH
        or not path.isprintable()
        or "\\" in path
        or path.startswith("/")
        or ".." in parts
    ):
        raise HistorySourceError(f"`{param}` must be a path within the repository.", param=param)
    return path.rstrip("/")


class FolderSource:
    """Repositories as subfolders ``owner/name`` of a folder; they have no revisions."""

    def __init__(self, folder: Path, repository: str) -> None:
        self._root = (folder / repository).resolve()

    async def list_files(self, prefix: str | None) -> list[str]:
        """Paths of all files below a prefix."""
        return await asyncio.to_thread(self._list, prefix)

    async def read(self, path: str) -> bytes | None:
        """A file's content; None when there is no such file."""
        return await asyncio.to_thread(self._read, path)

    def _list(self, prefix: str | None) -> list[str]:
        if not self._root.is_dir():
            raise HistorySourceError("The import folder has no such repository.", param="source.repo")
        start = self._inside(prefix or ".")
        found = [] if start is None else [path for path in start.rglob("*") if path.is_file()]
        return [path.relative_to(self._root).as_posix() for path in found]

    def _read(self, path: str) -> bytes | None:
        file = self._inside(path)
        if file is None or not file.is_file():
            return None
        if file.stat().st_size > MAX_FILE_BYTES:
            raise _too_large(path)
        return file.read_bytes()

    def _inside(self, path: str) -> Path | None:
        """The path with its links followed, unless they lead out of the repository."""
        resolved = (self._root / path).resolve()
        return resolved if resolved.is_relative_to(self._root) else None


class HubSource:
    """A dataset repository of the Hugging Face Hub, read with the caller's token."""

    def __init__(self, client: GuardedClient, hub_url: str, repository: str, *, revision: str, token: str) -> None:
        self._hub = HubClient(client, hub_url, token=token)
        self._repository = repository
        self._revision = quote(revision, safe="")

    async def list_files(self, prefix: str | None) -> list[str]:
        """Paths of all files below a prefix."""
        below = "" if prefix is None else f"/{quote(prefix)}"
        url: str = (
            f"{self._hub.url}/api/datasets/{self._repository}/tree/{self._revision}{below}?recursive=true&limit=1000"
        )
        limits = OutboundLimits(timeout_seconds=LISTING_TIMEOUT_SECONDS, max_response_bytes=MAX_LISTING_BYTES)
        paths: list[str] = []
        for _ in range(MAX_PAGES):
            response = await self._get(url, limits)
            if response is None:
                raise HistorySourceError(
                    f"{self._repository} does not exist, lacks that revision or path, or is not for this token.",
                    param="source",
                )
            paths += _paths_in(response)
            following = self._hub.next_page(response)
            if following is None:
                return paths
            url = following
        raise HistoryTooLargeError(f"The repository has more than {MAX_PAGES} pages of files; give a `path_prefix`.")

    async def read(self, path: str) -> bytes | None:
        """A file's content; None when there is no such file."""
        limits = OutboundLimits(timeout_seconds=FILE_TIMEOUT_SECONDS, max_response_bytes=MAX_FILE_BYTES)
        url = f"{self._hub.url}/datasets/{self._repository}/resolve/{self._revision}/{quote(path)}"
        response = await self._get(url, limits)
        if response is None:
            return None
        if not response.complete:
            if len(response.body) >= MAX_FILE_BYTES:
                raise _too_large(path)
            raise HistorySourceUnavailableError(f"The download of {path} broke off.")
        return response.body

    async def _get(self, url: str, limits: OutboundLimits) -> OutboundResponse | None:
        """The answer; None for a 404."""
        try:
            return await self._hub.get(url, limits=limits)
        except HubRefusedError as fault:
            raise HistorySourceError(
                "The hub refuses the token in `X-HuggingFace-Token`; it needs read access to the repository.",
                param="X-HuggingFace-Token",
            ) from fault
        except HubAwayError as fault:
            raise HistorySourceUnavailableError(fault.message) from fault
        except HubAnswerError as fault:
            raise HistorySourceError(fault.message, param="source") from fault


def _paths_in(response: OutboundResponse) -> Sequence[str]:
    if not response.complete:
        raise HistoryTooLargeError("A page of the repository's listing is larger than 8 MiB; give a `path_prefix`.")
    try:
        entries: Any = orjson.loads(response.body)
    except ValueError as fault:
        raise HistorySourceError("The hub's listing is not JSON.", param="source") from fault
    if not isinstance(entries, list):
        raise HistorySourceError("The hub's listing is not a list.", param="source")
    files = (cast("dict[str, Any]", entry) for entry in cast("list[Any]", entries) if isinstance(entry, dict))
    return [str(entry["path"]) for entry in files if entry.get("type") == "file" and "path" in entry]


def _too_large(path: str) -> HistoryTooLargeError:
    return HistoryTooLargeError(f"{path} has more than {MAX_FILE_BYTES:,} bytes.", param="source.files")
