"""What is said about dataset files that cannot be read.

InvalidError
├── DatasetRowError     a line is wrong
├── DatasetFormatError  the format is not known
└── EmptyDatasetError   there are no rows
"""

from __future__ import annotations

from assay.kit.errors import InvalidError


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
