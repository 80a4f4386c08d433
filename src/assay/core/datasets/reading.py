"""Rows out of dataset files, as a stream.

Bytes arrive in chunks cut anywhere. A parser per format takes them and gives rows as soon as they are complete, so a
file is never in memory as a whole; what one row may hold is bounded. The first fault ends the reading and names its
line: a file that is half right is wrong.

    chunks ──> _lines (cut at newlines, bounded) ──> JsonlParser | CsvParser ──> rows

Facts of both formats: UTF-8, strictly, with an optional byte order mark; lines end in LF or CRLF; blank lines are
skipped; NUL characters are refused, since the database cannot keep them. In JSONL, a key that occurs twice keeps its
last value and integers beyond 64 bits become floats. In CSV, a line break or an odd quote needs a quoted field
(RFC 4180 §2).
"""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator, Iterator
from pathlib import PurePath
from typing import Any, Protocol, cast

import orjson

from assay.core.datasets.errors import DatasetFormatError, DatasetRowError, EmptyDatasetError
from assay.core.datasets.types import DatasetFormat, Row
from assay.kit.storable import find_unstorable, render_path

MAX_RECORD_BYTES = 4 * 1024 * 1024
"""Bytes of one JSONL line or one CSV record."""
MAX_DEPTH = 64
"""Containers inside each other in a JSONL row."""

_UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
_FORMATS_BY_SUFFIX = {
    ".jsonl": DatasetFormat.JSONL,
    ".ndjson": DatasetFormat.JSONL,
    ".csv": DatasetFormat.CSV,
    ".parquet": DatasetFormat.PARQUET,
}


class RowParser(Protocol):
    """Takes a file in pieces and gives its rows."""

    def feed(self, chunk: bytes) -> Iterator[Row]:
        """The rows that this chunk completes. Exhaust it before the next call.

        Raises:
            DatasetRowError: At the first line that is wrong.
        """
        ...

    def finish(self) -> Iterator[Row]:
        """The row that ends with the file, if any.

        Raises:
            DatasetRowError: If the last row is wrong or cut off.
        """
        ...


def infer_format(filename: str) -> DatasetFormat:
    """The format that a file's extension tells.

    Raises:
        DatasetFormatError: If it tells none.
    """
    found = _FORMATS_BY_SUFFIX.get(PurePath(filename).suffix.lower())
    if found is None:
        known = ", ".join(_FORMATS_BY_SUFFIX)
        raise DatasetFormatError(
            f"the file name '{filename[:255]}' does not tell the dataset's format (known: {known}); "
            "set dataset.format to 'jsonl', 'csv' or 'parquet'"
        )
    return found


async def read_rows(
    chunks: AsyncIterator[bytes], *, format: DatasetFormat, max_rows: int | None = None
) -> AsyncIterator[Row]:
    """Read a dataset file row by row.

    Args:
        chunks: The file's bytes, cut anywhere.
        format: See ``infer_format`` for a file whose format nobody stated.
        max_rows: Rows to read at most, at least 1; what follows is neither read nor checked.

    Raises:
        DatasetRowError: At the first line that is wrong.
        DatasetFormatError: The format is Parquet, which ``hub.service`` reads.
        EmptyDatasetError: If the file ends without a row.
    """
    parser = row_parser(format)
    count = 0
    async for chunk in chunks:
        for row in parser.feed(chunk):
            yield row
            count += 1
            if count == max_rows:
                return
    for row in parser.finish():
        yield row
        count += 1
    if count == 0:
        raise EmptyDatasetError("the dataset file has no rows; upload a file with at least one")


def row_parser(format: DatasetFormat) -> RowParser:
    """A fresh parser for one file.

    Raises:
        DatasetFormatError: The format is not one of lines.
    """
    match format:
        case DatasetFormat.JSONL:
            return JsonlParser()
        case DatasetFormat.CSV:
            return CsvParser()
        case DatasetFormat.PARQUET:
            raise DatasetFormatError("Parquet is not read here; give the rows as JSONL or CSV")


class _Lines:
    """Cuts chunks into lines, without their LF, and counts them."""

    def __init__(self) -> None:
        self._pending: list[bytes] = []
        self._pending_size = 0
        self._started = False
        self.number = 0
        """Of the line given last, from 1."""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The lines that this chunk completes."""
        *complete, rest = chunk.split(b"\n")
        if complete:
            complete[0] = b"".join((*self._pending, complete[0]))
            self._pending.clear()
            self._pending_size = 0
        for line in complete:
            yield self._next(line)
        if rest:
            self._pending.append(rest)
            self._pending_size += len(rest)
        if self._pending_size > MAX_RECORD_BYTES:
            raise too_long(self.number + 1)

    def finish(self) -> Iterator[bytes]:
        """The last line, if the file does not end with a newline."""
        if self._pending:
            yield self._next(b"".join(self._pending))
            self._pending.clear()

    def _next(self, line: bytes) -> bytes:
        self.number += 1
        if len(line) > MAX_RECORD_BYTES:
            raise too_long(self.number)
        if self.number == 1:
            if line.startswith(_UTF16_BOMS):
                raise DatasetRowError(1, "the file is UTF-16; save it as UTF-8")
            return line.removeprefix(_UTF8_BOM)
        return line


def too_long(line: int) -> DatasetRowError:
    """The error for a record over the bound."""
    return DatasetRowError(
        line, f"longer than {MAX_RECORD_BYTES:,} bytes; shorten the row, or check that rows end in newlines"
    )


class JsonlParser:
    """JSON Lines: one object a line."""

    def __init__(self) -> None:
        self._lines = _Lines()

    def feed(self, chunk: bytes) -> Iterator[Row]:
        """See ``RowParser``."""
        lines = self._lines
        for line in lines.feed(chunk):
            if line.strip():
                yield Row(lines.number, _json_object(line, lines.number))

    def finish(self) -> Iterator[Row]:
        """See ``RowParser``."""
        for line in self._lines.finish():
            if line.strip():
                yield Row(self._lines.number, _json_object(line, self._lines.number, is_last=True))


def _json_object(line: bytes, number: int, *, is_last: bool = False) -> dict[str, Any]:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as exc:
        raise _json_error(line, number, exc, is_last=is_last) from exc
    if type(value) is not dict:
        raise DatasetRowError(number, f'{_json_kind(value)} where an object is needed, such as {{"question": "…"}}')
    # The walk is slow and almost never needed: only an escape can bring in a NUL, only brackets can nest.
    if b"\\u0000" in line or line.count(b"[") + line.count(b"{") > MAX_DEPTH:
        for path, reason in find_unstorable(value, max_depth=MAX_DEPTH):
            raise DatasetRowError(number, f"{render_path(path)}: {reason}")
    return cast("dict[str, Any]", value)


def _json_error(line: bytes, number: int, error: orjson.JSONDecodeError, *, is_last: bool) -> DatasetRowError:
    _decode(line, number)
    if b"\x00" in line:
        return DatasetRowError(number, "holds a NUL character; remove it", column=line.index(b"\x00") + 1)
    advice = "; the file may be cut off here" if is_last and error.pos >= len(error.doc.rstrip()) else ""
    return DatasetRowError(number, f"not valid JSON: {error.msg}{advice}", column=error.colno)


def _json_kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return "a string"
        case list():
            return "a list"
        case _:
            return "a number"


class CsvParser:
    """Comma-separated values with a header row.

    A record ends at the first newline with an even number of quotes before it: within quotes, newlines are data. Each
    record then goes to the standard library's reader by itself, so that how chunks were cut can never change a result.
    """

    def __init__(self) -> None:
        self._lines = _Lines()
        self._record: list[bytes] = []
        self._record_size = 0
        self._first_line = 0
        self._columns: list[str] | None = None
        # The limit is the process's own, 128 KiB unless raised; ours bounds the record already.
        csv.field_size_limit(max(csv.field_size_limit(), MAX_RECORD_BYTES))

    def feed(self, chunk: bytes) -> Iterator[Row]:
        """See ``RowParser``."""
        for line in self._lines.feed(chunk):
            yield from self._take(line)

    def finish(self) -> Iterator[Row]:
        """See ``RowParser``."""
        for line in self._lines.finish():
            yield from self._take(line)
        if self._record:
            raise DatasetRowError(self._first_line, "a quoted field is never closed; add the missing double quote")

    def _take(self, line: bytes) -> Iterator[Row]:
        is_odd = line.count(b'"') % 2 == 1
        if not self._record and not is_odd:
            if line.strip():
                yield from self._row(line, self._lines.number)
            return
        self._add(line)
        if is_odd and len(self._record) > 1:
            record = b"\n".join(self._record)
            self._record.clear()
            self._record_size = 0
            yield from self._row(record, self._first_line)

    def _add(self, line: bytes) -> None:
        if not self._record:
            self._first_line = self._lines.number
        self._record.append(line)
        self._record_size += len(line) + 1
        if self._record_size > MAX_RECORD_BYTES:
            raise too_long(self._first_line)

    def _row(self, record: bytes, line: int) -> Iterator[Row]:
        values = _csv_fields(record, line)
        if self._columns is None:
            self._columns = _header(values, line)
        elif len(values) != len(self._columns):
            raise DatasetRowError(
                line,
                f"{len(values)} fields where the header has {len(self._columns)}; "
                "check for missing commas, or commas and quotes that need quoting",
            )
        else:
            yield Row(line, dict(zip(self._columns, values, strict=True)))


def _csv_fields(record: bytes, line: int) -> list[str]:
    text = _decode(record, line).removesuffix("\r")
    nul = text.find("\x00")
    if nul >= 0:
        raise DatasetRowError(line + text.count("\n", 0, nul), "holds a NUL character; remove it")
    try:
        return next(csv.reader((text,), strict=True))
    except csv.Error as exc:
        raise DatasetRowError(line, f"not valid CSV: {_csv_reason(exc)}") from exc


def _csv_reason(error: csv.Error) -> str:
    text = str(error)
    if text.startswith("new-line character"):
        return "a line break or a double quote stands in a field without quotes; quote the field and double its quotes"
    return f"{text}; double the quotes inside a quoted field"


def _header(names: list[str], line: int) -> list[str]:
    for position, name in enumerate(names, start=1):
        if not name.strip():
            raise DatasetRowError(line, f"the header's name of field {position} is empty; name every column")
    if len(set(names)) != len(names):
        repeated = next(name for position, name in enumerate(names) if name in names[:position])
        raise DatasetRowError(line, f"the header names '{repeated[:64]}' twice; give every column its own name")
    return names


def _decode(record: bytes, line: int) -> str:
    try:
        return record.decode()
    except UnicodeDecodeError as exc:
        at = line + record.count(b"\n", 0, exc.start)
        byte = exc.start - record.rfind(b"\n", 0, exc.start)
        raise DatasetRowError(
            at, f"byte {byte} (0x{record[exc.start]:02x}) is not valid UTF-8; save the file as UTF-8"
        ) from exc
