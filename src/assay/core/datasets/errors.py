"""What is said about dataset files that cannot be read, and about stored datasets that are not there.

InvalidError
├── DatasetRowError     a line is wrong
├── DatasetFormatError  the format is not known
├── EmptyDatasetError   there are no rows
└── UnknownDatasetError the input names a dataset that is not there
NotFoundError
├── DatasetNotFoundError
└── ItemNotFoundError
"""

from __future__ import annotations

from uuid import UUID

from assay.kit.errors import InvalidError, NotFoundError


class DatasetRowError(InvalidError):
    """A line of a dataset file is wrong.

    Args:
        line: From 1; of a record over several lines, the line of the fault where it is known, else the first.
        reason: What is wrong and what to do.
        column: Of the fault in characters from 1, where it helps.
    """

    code = "invalid_dataset_row"

    def __init__(self, line: int, reason: str, *, column: int | None = None) -> None:
        place = f"line {line}" if column is None else f"line {line}, column {column}"
        super().__init__(f"{place}: {reason}", data={"line": line, "column": column})
        self.line = line
        self.column = column


class DatasetFormatError(InvalidError):
    """A file's name does not tell its format and nobody else did."""

    code = "unknown_dataset_format"


class EmptyDatasetError(InvalidError):
    """A dataset file without a single row."""

    code = "empty_dataset"


class DatasetNotFoundError(NotFoundError):
    """The caller has no such dataset."""

    code = "dataset_not_found"

    def __init__(self, dataset_id: UUID | str) -> None:
        super().__init__(f"Dataset {dataset_id} not found.")


class ItemNotFoundError(NotFoundError):
    """The caller has no such dataset item."""

    code = "dataset_item_not_found"

    def __init__(self, item_id: UUID | str) -> None:
        super().__init__(f"Dataset item {item_id} not found.")


class UnknownDatasetError(InvalidError):
    """A dataset that the input names is not there."""

    code = "unknown_dataset"

    def __init__(self, dataset_id: UUID | str) -> None:
        super().__init__(f"There is no dataset {dataset_id} in this project.", param="dataset")
