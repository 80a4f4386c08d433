"""Where the files of a dataset are taken from: a folder of the operator's, or the hub.

A place gives a folder that looks like the repository, and then the content of the files that turn out to be needed.
From the hub, every data file is first there by its name alone; which of them make up a part is known from names and
from the description (``README.md``).
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast
from urllib.parse import quote

from assay.core.datasets.hub.errors import (
    HubChangedError,
    HubDatasetError,
    HubTooLargeError,
    HubUnavailableError,
)
from assay.core.datasets.hub.names import pattern_fault
from assay.core.datasets.hub.rowworker import is_data_file
from assay.core.datasets.hub.types import MAIN, HubAccess, HubPart
from assay.kit import json
from assay.outbound.client import GuardedClient, OutboundLimits, OutboundResponse
from assay.outbound.errors import ResponseTooLargeError
from assay.outbound.hub import HubAnswerError, HubAwayError, HubClient, HubRefusedError

Pin = Callable[[str, str], Awaitable[str]]
"""From a source and the revision found for it now to the revision that the run began with; the first one is kept."""

INFO_TIMEOUT_SECONDS = 20.0
MAX_INFO_BYTES = 32 * 1024 * 1024
"""Of a repository's list of files: about 300,000 of them."""
MAX_DESCRIPTION_BYTES = 8 * 1024 * 1024

_DESCRIPTIONS = frozenset({"README.md", ".huggingface.yaml", "dataset_infos.json"})
_COMMIT = re.compile(r"[0-9a-f]{40}")
_HASH_BYTES = 1024 * 1024


class Place(Protocol):
    """A repository that can be read."""

    @property
    def root(self) -> Path:
        """Looks like the repository."""
        ...

    async def provide(self, files: Sequence[str]) -> None:
        """See that these files have their content.

        Raises:
            HubDatasetError, HubTooLargeError, HubUnavailableError, HubChangedError: They cannot have it.
        """
        ...


@dataclass(frozen=True, slots=True)
class FolderPlace:
    """A subfolder; its revision is a digest of the files that are read."""

    root: Path
    part: HubPart
    pin: Pin

    async def provide(self, files: Sequence[str]) -> None:
        """See ``Place``."""
        found = await asyncio.to_thread(_digest, self.root, files)
        if await self.pin(self.part.label, found) != found:
            raise HubChangedError(
                f"the files of {self.part.label} have changed in the folder since the run began; put the earlier ones "
                "back, or start another run"
            )


def open_folder(folder: Path, part: HubPart, pin: Pin) -> FolderPlace:
    """A dataset's subfolder.

    Raises:
        HubDatasetError: There is none.
    """
    base = folder.resolve()
    name = part.path if part.revision is None else part.source
    root = (base / name).resolve()
    if not root.is_relative_to(base) or not root.is_dir():
        raise HubDatasetError(f"the folder of datasets (ASSAY_HUB_FOLDER) has no subfolder {name}")
    return FolderPlace(root, part, pin)


@dataclass(slots=True)
class HubPlace:
    """A repository of the hub at one commit."""

    root: Path
    part: HubPart
    hub: HubClient
    commit: str
    access: HubAccess
    left: int
    """Bytes that may still be taken."""

    async def provide(self, files: Sequence[str]) -> None:
        """See ``Place``."""
        for path in files:
            await self.fetch(path, most=self.left)
            self.left -= (await asyncio.to_thread((self.root / path).stat)).st_size

    async def fetch(self, path: str, *, most: int) -> None:
        """Get one file."""
        url = f"{self.hub.url}/datasets/{self.part.path}/resolve/{self.commit}/{quote(path)}"
        target = self.root / path
        await asyncio.to_thread(target.parent.mkdir, parents=True, exist_ok=True)
        limits = OutboundLimits(timeout_seconds=self.access.timeout_seconds, max_response_bytes=most)
        try:
            response = await _get(self.hub, self.part, url, limits, target)
        except ResponseTooLargeError as fault:
            raise HubTooLargeError(
                f"the files of {self.part.label} have more than {self.access.max_bytes:,} bytes; take less of it with "
                "`data_files`, or raise ASSAY_HUB_MAX_BYTES"
            ) from fault
        if response is None:
            raise HubDatasetError(f"{self.part.source} has no file {path}")
        if not response.complete:
            raise HubUnavailableError(f"The download of {path} of {self.part.source} broke off.")


async def open_hub(client: GuardedClient, access: HubAccess, part: HubPart, pin: Pin, root: Path) -> HubPlace:
    """A repository of the hub, laid out in a folder.

    Raises:
        HubDatasetError: There is none, or not for the installation's token.
        HubUnavailableError: Not at the moment.
    """
    hub = HubClient(client, access.url, token=access.token)
    commit, files = await _look_up(hub, part, part.revision or MAIN)
    pinned = await pin(part.source, commit)
    if pinned != commit:
        commit, files = await _look_up(hub, part, pinned)
    place = HubPlace(root, part, hub, commit, access, left=access.max_bytes)
    await asyncio.to_thread(_touch, root, [path for path in files if is_data_file(path)])
    for path in sorted(_DESCRIPTIONS & set(files)):
        await place.fetch(path, most=MAX_DESCRIPTION_BYTES)
    return place


async def _look_up(hub: HubClient, part: HubPart, revision: str) -> tuple[str, list[str]]:
    """The commit behind a revision, and the paths of its files."""
    url = f"{hub.url}/api/datasets/{part.path}/revision/{quote(revision, safe='')}"
    limits = OutboundLimits(timeout_seconds=INFO_TIMEOUT_SECONDS, max_response_bytes=MAX_INFO_BYTES)
    response = await _get(hub, part, url, limits, None)
    if response is None:
        raise HubDatasetError(
            f"the hub has no dataset {part.source}; if it is private, the worker needs a token (ASSAY_HUB_TOKEN)"
        )
    if not response.complete:
        raise HubUnavailableError(f"The list of files of {part.source} broke off.")
    try:
        answer: Any = json.loads(response.body)
        commit, files = str(answer["sha"]), [str(one["rfilename"]) for one in cast("list[Any]", answer["siblings"])]
    except (ValueError, KeyError, TypeError) as fault:
        raise HubDatasetError(f"the hub's answer about {part.source} cannot be read") from fault
    if not _COMMIT.fullmatch(commit):
        raise HubDatasetError(f"the hub names no commit of {part.source}")
    return commit, [path for path in files if pattern_fault(path) is None]


async def _get(
    hub: HubClient, part: HubPart, url: str, limits: OutboundLimits, into: Path | None
) -> OutboundResponse | None:
    try:
        return await hub.get(url, limits=limits, into=into)
    except HubRefusedError as fault:
        raise HubDatasetError(
            f"the hub does not give {part.source} to this installation: it does not exist, or is private or gated; "
            "give the worker a token that has been granted access (ASSAY_HUB_TOKEN)"
        ) from fault
    except HubAwayError as fault:
        raise HubUnavailableError(fault.message) from fault
    except HubAnswerError as fault:
        raise HubDatasetError(fault.message) from fault


def _touch(root: Path, paths: Sequence[str]) -> None:
    root.mkdir()
    for path in paths:
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()


def _digest(root: Path, files: Sequence[str]) -> str:
    """Of names and contents, in order."""
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path}\0{(root / path).stat().st_size}\0".encode())
        with (root / path).open("rb") as file:
            while chunk := file.read(_HASH_BYTES):
                digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"
