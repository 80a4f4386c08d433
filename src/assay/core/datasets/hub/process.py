"""The parent's side of ``rowworker``: starting the process, talking to it, ending it."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from assay.core.datasets.hub.errors import HubDatasetError, MissingExtraError
from assay.core.datasets.reading import read_rows
from assay.core.datasets.types import DatasetFormat
from assay.kit import json

_COMMAND = (sys.executable, "-P", "-m", "assay.core.datasets.hub.rowworker")
_LONGEST_LINE = 16 * 1024 * 1024
_CHUNK_BYTES = 256 * 1024


class RowProcess:
    """A started process.

    Args:
        process: Itself.
        folder: Where it says what went wrong.
    """

    def __init__(self, process: Process, folder: Path) -> None:
        self._process = process
        self._error = folder / "error.json"

    async def files(self) -> list[str]:
        """Paths, within the repository, of the files that it is going to read.

        Raises:
            HubDatasetError: There is no such part.
        """
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise await self._failure()
        return cast("list[str]", json.loads(line))

    async def rows(self, *, max_rows: int) -> list[dict[str, Any]]:
        """Let it read; the files are there.

        Raises:
            HubDatasetError: A file cannot be read.
            DatasetRowError, EmptyDatasetError: A row is out of bounds, or there is none.
        """
        assert self._process.stdin is not None
        with suppress(ConnectionError):  # then it has ended, and the next lines say why
            self._process.stdin.write(b"\n")
            await self._process.stdin.drain()
        async with aclosing(self._chunks()) as chunks:
            rows = read_rows(chunks, format=DatasetFormat.JSONL, max_rows=max_rows)
            return [row.values async for row in rows]

    async def _chunks(self) -> AsyncGenerator[bytes]:
        assert self._process.stdout is not None
        while chunk := await self._process.stdout.read(_CHUNK_BYTES):
            yield chunk
        if await self._process.wait() != 0:
            raise await self._failure()

    async def _failure(self) -> HubDatasetError:
        code = await self._process.wait()
        try:
            reason = str(json.loads(await asyncio.to_thread(self._error.read_bytes))["reason"])
        except (OSError, ValueError, KeyError):
            reason = f"its reader ended unexpectedly (code {code}); the file may be damaged or take too much memory"
        return HubDatasetError(reason)


@asynccontextmanager
async def row_process(folder: Path, request: Mapping[str, Any]) -> AsyncGenerator[RowProcess]:
    """Start the process; it is ended with the block.

    Args:
        folder: An empty one of its own, that goes away afterwards.
        request: What to read, see ``rowworker``.

    Raises:
        MissingExtraError: The libraries that it needs are not installed.
    """
    if find_spec("pyarrow") is None or (request["mode"] == "hub" and find_spec("datasets") is None):
        raise MissingExtraError("Parquet files" if request["mode"] == "parquet" else "Hugging Face datasets")
    work = folder / "work"
    await asyncio.to_thread(work.mkdir)
    await asyncio.to_thread((folder / "request.json").write_text, json.dumps(request))
    process = await asyncio.create_subprocess_exec(
        *_COMMAND,
        str(folder),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        cwd=work,
        env=_environment(work),
        limit=_LONGEST_LINE,
    )
    try:
        yield RowProcess(process, folder)
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _environment(home: Path) -> dict[str, str]:
    """All that the process knows: no tokens, no proxies, nothing of the operator's."""
    return {
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HOME": str(home / "hf"),
        "HOME": str(home),
        "TMPDIR": str(home),
        "PYTHONUTF8": "1",
    }


async def save(chunks: AsyncIterator[bytes], path: Path) -> None:
    """Write a stream into a file."""
    file = await asyncio.to_thread(path.open, "wb")
    try:
        async for chunk in chunks:
            await asyncio.to_thread(file.write, chunk)
    finally:
        await asyncio.to_thread(file.close)
