"""Reading rows that need the libraries of the extra ``hf``: of datasets of the hub, and of Parquet files."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from assay.core.datasets.hub.errors import HubTooLargeError
from assay.core.datasets.hub.places import Pin, Place, open_folder, open_hub
from assay.core.datasets.hub.process import row_process, save
from assay.core.datasets.hub.types import HubAccess, HubPart
from assay.outbound.client import GuardedClient


class HubReader:
    """Reads rows.

    Args:
        access: Where datasets are.
        client: Makes requests to the hub.
    """

    def __init__(self, access: HubAccess, client: GuardedClient) -> None:
        self._access = access
        self._client = client

    async def read(self, part: HubPart, *, max_rows: int, pin: Pin) -> list[dict[str, Any]]:
        """The first rows of a part of a dataset.

        Args:
            part: Which.
            max_rows: At least 1.
            pin: Keeps the revision that is read; see ``Pin``.

        Raises:
            MissingExtraError: The library is not installed.
            HubDatasetError: There is no such part, or it cannot be read.
            HubTooLargeError: It has too many bytes, or takes too long.
            HubChangedError: The folder no longer has what the run began with.
            HubUnavailableError: The hub does not answer.
            DatasetRowError, EmptyDatasetError: A row is out of bounds, or there is none.
        """
        async with self._bounded(part.label), _folder() as folder:
            place = await self._place(part, pin, folder / "repository")
            request = {
                "mode": "hub",
                "root": str(place.root),
                "name": part.name,
                "split": part.split,
                "data_files": part.data_files,
                "cache": str(folder / "cache"),
                "max_rows": max_rows,
            }
            async with row_process(folder, request) as process:
                await place.provide(await process.files())
                return await process.rows(max_rows=max_rows)

    async def read_parquet(self, chunks: AsyncIterator[bytes], *, max_rows: int) -> list[dict[str, Any]]:
        """The first rows of a Parquet file.

        Raises:
            MissingExtraError, HubDatasetError, HubTooLargeError, DatasetRowError, EmptyDatasetError: As ``read``.
        """
        async with self._bounded("the file"), _folder() as folder:
            path = folder / "rows.parquet"
            request = {"mode": "parquet", "root": str(folder), "file": str(path), "max_rows": max_rows}
            async with row_process(folder, request) as process:
                await save(chunks, path)
                await process.files()
                return await process.rows(max_rows=max_rows)

    async def _place(self, part: HubPart, pin: Pin, root: Path) -> Place:
        if self._access.folder is not None:
            return await asyncio.to_thread(open_folder, self._access.folder, part, pin)
        return await open_hub(self._client, self._access, part, pin, root)

    @asynccontextmanager
    async def _bounded(self, what: str) -> AsyncGenerator[None]:
        seconds = self._access.timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            raise HubTooLargeError(
                f"{what} was not read within {seconds:g} seconds; take less of it, or raise ASSAY_HUB_TIMEOUT_SECONDS"
            ) from error


@asynccontextmanager
async def _folder() -> AsyncGenerator[Path]:
    path = await asyncio.to_thread(lambda: Path(tempfile.mkdtemp(prefix="assay-rows-")).resolve())
    try:
        yield path
    finally:
        await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)
