"""Folders in which datasets are read, also those that a killed worker left behind.

Each holds gigabytes at times and goes away with its reading. A process that is killed cannot see to that, so a folder
is locked while it is in use, and the next reading on the machine removes old ones that nobody holds.
"""

from __future__ import annotations

import asyncio
import fcntl
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

PREFIX = "assay-rows-"
FRESH_SECONDS = 3600.0
"""A younger folder is let be: it may be one that is just being made."""

_LOCK = "lock"


@asynccontextmanager
async def work_folder() -> AsyncGenerator[Path]:
    """A folder for one reading."""
    await asyncio.to_thread(remove_abandoned, Path(tempfile.gettempdir()))
    path, lock = await asyncio.to_thread(_make)
    try:
        yield path
    finally:
        await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)
        lock.close()


def remove_abandoned(place: Path) -> None:
    """Remove the folders of readings that ended with their process."""
    for path in place.glob(f"{PREFIX}*"):
        try:
            if time.time() - path.stat().st_mtime < FRESH_SECONDS:
                continue
            with (path / _LOCK).open("ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
        except OSError:
            continue  # in use, gone meanwhile, or not ours


def _make() -> tuple[Path, IO[bytes]]:
    path = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
    lock = (path / _LOCK).open("ab")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return path, lock
