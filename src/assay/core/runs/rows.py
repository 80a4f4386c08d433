"""Where a run's rows are read: uploaded files, stored datasets, datasets of the Hugging Face Hub."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from assay.core.datasets.errors import DatasetNotFoundError
from assay.core.datasets.hub.service import HubReader
from assay.core.datasets.hub.types import HubPart
from assay.core.datasets.reading import infer_format, read_rows
from assay.core.datasets.service import read_examples
from assay.core.datasets.types import DatasetFormat
from assay.core.files.errors import FileNotFoundInProjectError
from assay.core.files.service import open_content
from assay.core.files.store import FileStore
from assay.core.runs import ledger
from assay.core.runs.errors import RunInputError
from assay.core.runs.plan import RunPlan
from assay.core.suites.compile import CompiledTask
from assay.core.suites.manifest.schema import Dataset
from assay.core.suites.sources import find_dataset_file, parse_dataset_id
from assay.db.engine import SessionFactory
from assay.db.session import transaction
from assay.kit.errors import DomainError, UnavailableError
from assay.kit.storable import find_unstorable, render_path

MAX_ROWS = 1_000_000
MAX_ROW_DEPTH = 64

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RowSource:
    """Reads the datasets of one run."""

    sessions: SessionFactory
    plan: RunPlan
    store: FileStore
    hub: HubReader

    async def read(self, task: CompiledTask, dataset: Dataset, *, limit: int | None) -> list[Row]:
        """The rows of one of a task's datasets.

        Args:
            task: Whose fault it is when they cannot be read.
            dataset: Which.
            limit: Rows to read at most; None for as many as the dataset allows itself.

        Raises:
            RunInputError: They cannot be read; naming the task.
            UnavailableError: Not at the moment.
        """
        bound = min(dataset.max_rows or MAX_ROWS, limit or MAX_ROWS, MAX_ROWS)
        try:
            if dataset.dataset_id is not None:
                return storable(task, await self._stored(dataset.dataset_id, bound))
            if dataset.path is not None:
                return await self._of_hub(dataset, dataset.path, bound)
            return await self._of_file(dataset, bound)
        except (UnavailableError, RunInputError):
            raise
        except FileNotFoundInProjectError as error:
            raise blame(task, f"its dataset file '{dataset.file_id}' has been deleted", error) from error
        except DatasetNotFoundError as error:
            reason = (
                f"dataset.dataset_id: the dataset '{str(dataset.dataset_id)[:80]}' has been deleted, or is not in this "
                "project"
            )
            raise blame(task, reason, error) from error
        except DomainError as error:
            raise blame(task, error.message, error) from error

    async def _of_file(self, dataset: Dataset, bound: int) -> list[Row]:
        async with self.sessions() as session:
            file = await find_dataset_file(session, self.plan.owner, file_id=dataset.file_id or "")
            content = await open_content(session, self.plan.owner, store=self.store, file_id=file.id)
        format_ = infer_format(file.filename) if dataset.format is None else DatasetFormat(dataset.format)
        if format_ is DatasetFormat.PARQUET:
            return await self.hub.read_parquet(content.chunks, max_rows=bound)
        return [row.values async for row in read_rows(content.chunks, format=format_, max_rows=bound)]

    async def _stored(self, dataset_id: str, bound: int) -> list[Row]:
        """The items of a stored dataset, as they are now."""
        row_id = parse_dataset_id(dataset_id)
        if row_id is None:
            raise DatasetNotFoundError(dataset_id)
        async with transaction(self.sessions) as session:
            await ledger.allow_long_statements(session)
            return await read_examples(session, self.plan.owner, row_id, limit=bound)

    async def _of_hub(self, dataset: Dataset, path: str, bound: int) -> list[Row]:
        part = HubPart(
            path=path,
            name=dataset.name,
            split=dataset.split,
            revision=dataset.revision,
            data_files=dataset.data_files,
        )
        return await self.hub.read(part, max_rows=bound, pin=self._pin)

    async def _pin(self, source: str, revision: str) -> str:
        async with transaction(self.sessions) as session:
            return await ledger.pin_revision(session, self.plan.run_id, source=source, revision=revision)


def storable(task: CompiledTask, rows: list[Row]) -> list[Row]:
    """The rows, if the database can keep them.

    Raises:
        RunInputError: It cannot; naming the task, the row and the place in it.
    """
    for index, row in enumerate(rows):
        for path, reason in find_unstorable(row, max_depth=MAX_ROW_DEPTH):
            raise blame(task, f"row {index + 1}: {render_path(path)}: {reason}")
    return rows


def blame(task: CompiledTask, reason: str, error: DomainError | None = None) -> RunInputError:
    """What is wrong with a run because of a task."""
    data: dict[str, Any] = {} if error is None else error.data
    return RunInputError(f"Task '{task.id}': {reason}", data={**data, "task_id": task.id})
