"""Dataset files: what is read, what is refused and where, and that chunk boundaries never matter."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from assay.core.datasets.errors import DatasetFormatError, DatasetRowError, EmptyDatasetError
from assay.core.datasets.reading import MAX_RECORD_BYTES, infer_format, read_rows
from assay.core.datasets.types import DatasetFormat, Row

JSONL = DatasetFormat.JSONL
CSV = DatasetFormat.CSV


async def stream(data: bytes, sizes: list[int]) -> AsyncIterator[bytes]:
    """The data in chunks of the given sizes, then whatever is left."""
    at = 0
    for size in sizes:
        yield data[at : at + size]
        at += size
    yield data[at:]


async def read(
    data: bytes, format: DatasetFormat, *, sizes: list[int] | None = None, max_rows: int | None = None
) -> list[Row]:
    return [row async for row in read_rows(stream(data, sizes or []), format=format, max_rows=max_rows)]


@dataclass(frozen=True)
class Good:
    id: str
    format: DatasetFormat
    data: bytes
    rows: list[tuple[int, dict[str, Any]]]


GOOD = [
    Good("jsonl", JSONL, b'{"a":1}\n{"a":[2,"x"]}\n', [(1, {"a": 1}), (2, {"a": [2, "x"]})]),
    Good("no-last-newline", JSONL, b'{"a":1}\n{"a":2}', [(1, {"a": 1}), (2, {"a": 2})]),
    Good("crlf-and-blank", JSONL, b'\r\n{"a":1}\r\n  \n{"a":2}\r\n', [(2, {"a": 1}), (4, {"a": 2})]),
    Good("bom", JSONL, b'\xef\xbb\xbf{"a":1}\n', [(1, {"a": 1})]),
    Good("empty-object", JSONL, b"{}\n", [(1, {})]),
    Good("escaped-backslash-before-u0000", JSONL, b'{"a":"\\\\u0000"}', [(1, {"a": "\\u0000"})]),
    Good("many-flat-objects", JSONL, b'{"a":[' + b"{}," * 99 + b"{}]}", [(1, {"a": [{}] * 100})]),
    Good("last-of-equal-keys", JSONL, b'{"a":1,"a":2}', [(1, {"a": 2})]),
    Good("csv", CSV, b"a,b\n1,x\n2,\n", [(2, {"a": "1", "b": "x"}), (3, {"a": "2", "b": ""})]),
    Good("csv-bom-crlf", CSV, b"\xef\xbb\xbfa,b\r\n1,x\r\n", [(2, {"a": "1", "b": "x"})]),
    Good(
        "csv-newline",
        CSV,
        b'a,b\n"1\n2","say ""hi"""\n3,4',
        [(2, {"a": "1\n2", "b": 'say "hi"'}), (4, {"a": "3", "b": "4"})],
    ),
    Good("csv-blank-in-quotes", CSV, b'a\n"x\n\ny"\n\nz\n', [(2, {"a": "x\n\ny"}), (6, {"a": "z"})]),
    Good("csv-quoted-empty", CSV, b'a\n""\n', [(2, {"a": ""})]),
    Good("csv-inner-quotes-in-pairs", CSV, b'a,b\n5" x 6",y\n', [(2, {"a": '5" x 6"', "b": "y"})]),
    Good("csv-long-field", CSV, b"a\n" + b"x" * 200_000, [(2, {"a": "x" * 200_000})]),
]


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.id)
@pytest.mark.parametrize("sizes", [[], [1] * 400, [3] * 150], ids=["whole", "bytes", "threes"])
async def test_rows_and_their_lines(case: Good, sizes: list[int]) -> None:
    assert await read(case.data, case.format, sizes=sizes) == case.rows


@dataclass(frozen=True)
class Bad:
    id: str
    format: DatasetFormat
    data: bytes
    line: int
    says: str


BAD = [
    Bad("truncated", JSONL, b'{"a":1}\n{"a":', 2, "the file may be cut off here"),
    Bad("broken", JSONL, b'{"a":1}\n\n{"a" 1}\n', 3, "line 3, column 6: not valid JSON"),
    Bad("json-array-file", JSONL, b"[\n{}\n]\n", 1, "not valid JSON"),
    Bad("list", JSONL, b"[1]\n", 1, "a list where an object is needed"),
    Bad("text", JSONL, b'{}\n"x"\n', 2, "a string where"),
    Bad("number", JSONL, b"1.5\n", 1, "a number where"),
    Bad("null", JSONL, b"null\n", 1, "null where"),
    Bad("two-on-a-line", JSONL, b"{}{}\n", 1, "unexpected content"),
    Bad("nan", JSONL, b'{"a":NaN}\n', 1, "not valid JSON"),
    Bad("infinite", JSONL, b'{"a":1e999}\n', 1, "infinity"),
    Bad("utf8", JSONL, b'{"a":1}\n{"a":"\xff"}\n', 2, "byte 7 (0xff) is not valid UTF-8"),
    Bad("half-character-at-end", JSONL, b'{"a":"\xe2\x82', 1, "byte 7 (0xe2) is not valid UTF-8"),
    Bad("utf16", JSONL, '{"a":1}\n'.encode("utf-16"), 1, "UTF-16"),
    Bad("nul", JSONL, b'{"a":"x\x00"}\n', 1, "column 8: holds a NUL"),
    Bad("escaped-nul", JSONL, b'{"a":{"b":"x\\u0000"}}\n', 1, "line 1: a.b: the text holds a NUL"),
    Bad("nul-in-key", JSONL, b'{"x\\u0000":1}\n', 1, "the key holds a NUL"),
    Bad("surrogate", JSONL, b'{"a":"\\ud800"}\n', 1, "surrogate"),
    Bad("deep", JSONL, b"{}\n" + b'{"a":' * 65 + b"1" + b"}" * 65, 2, "nested too deeply"),
    Bad("very-deep", JSONL, b"{}\n" + b'{"a":' * 5000 + b"1" + b"}" * 5000, 2, "depth limit"),
    Bad("long-line", JSONL, b'{}\n{"a":"' + b"x" * MAX_RECORD_BYTES + b'"}\n', 2, "longer than 4,194,304 bytes"),
    Bad("endless-line", JSONL, b'{}\n{"a":"' + b"x" * MAX_RECORD_BYTES, 2, "longer than"),
    Bad("csv-narrow", CSV, b"a,b\n1,2\n3\n", 3, "1 fields where the header has 2"),
    Bad("csv-wide", CSV, b"a,b\n1,2,3\n", 2, "3 fields where"),
    Bad("csv-after-newlines", CSV, b'a,b\n"1\n2",2\n3\n', 4, "1 fields"),
    Bad("csv-empty-name", CSV, b"a, ,c\n1,2,3\n", 1, "name of field 2 is empty"),
    Bad("csv-same-names", CSV, b"a,b,a\n1,2,3\n", 1, "names 'a' twice"),
    Bad("csv-open-quote", CSV, b'a,b\n1,2\n"3,4\n5,6\n', 3, "never closed"),
    Bad("csv-text-after-quote", CSV, b'a,b\n"1"x,2\n', 2, "not valid CSV"),
    Bad("csv-odd-inner-quotes", CSV, b'a,b\n5" x,1\n6" y,2\n', 2, "field without quotes"),
    Bad("csv-bare-cr", CSV, b"a,b\r1,2\r", 1, "line break"),
    Bad("csv-nul", CSV, b'a\n"x\n\x00"\n', 3, "NUL"),
    Bad("csv-utf8", CSV, b'a\n"x\nab\xff"\n', 3, "byte 3 (0xff)"),
    Bad("csv-long-record", CSV, b'a\n"' + b"xxxxxxxx\n" * 500_000, 2, "longer than"),
]


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.id)
@pytest.mark.parametrize("sizes", [[], [1] * 500, [7] * 100], ids=["whole", "bytes", "sevens"])
async def test_faults_name_their_line(case: Bad, sizes: list[int]) -> None:
    with pytest.raises(DatasetRowError) as caught:
        await read(case.data, case.format, sizes=sizes)
    assert caught.value.line == case.line
    assert caught.value.data["line"] == case.line
    assert caught.value.message.startswith(f"line {case.line}")
    assert case.says in caught.value.message


async def test_rows_before_the_fault_arrive() -> None:
    rows = read_rows(stream(b'{"a":1}\n{"a":2}\nx\n', []), format=JSONL)
    assert [(await anext(rows)).line, (await anext(rows)).line] == [1, 2]
    with pytest.raises(DatasetRowError):
        await anext(rows)


@pytest.mark.parametrize(
    ("format", "data"), [(JSONL, b""), (JSONL, b"\n \r\n"), (JSONL, b"\xef\xbb\xbf"), (CSV, b""), (CSV, b"a,b\n")]
)
async def test_no_rows(format: DatasetFormat, data: bytes) -> None:
    with pytest.raises(EmptyDatasetError, match="no rows"):
        await read(data, format)


async def test_max_rows_ends_the_reading_before_later_faults() -> None:
    rows = await read(b'{"a":1}\n{"a":2}\nbroken', JSONL, max_rows=2)
    assert [row.values["a"] for row in rows] == [1, 2]


@pytest.mark.parametrize(("name", "format"), [("a.jsonl", JSONL), ("A.CSV", CSV), ("x.y.ndjson", JSONL)])
def test_format_by_name(name: str, format: DatasetFormat) -> None:
    assert infer_format(name) is format


@pytest.mark.parametrize("name", ["", "rows", "rows.json", "rows.csv.gz"])
def test_format_not_told_by_name(name: str) -> None:
    with pytest.raises(DatasetFormatError, match=r"set dataset\.format"):
        infer_format(name)


texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
cuts = st.lists(st.integers(0, 40), max_size=20)


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(st.dictionaries(texts, values, max_size=4), min_size=1, max_size=6), sizes=cuts, end=st.booleans())
async def test_jsonl_round_trip(rows: list[dict[str, Any]], sizes: list[int], end: bool) -> None:
    data = b"\n".join(orjson.dumps(row) for row in rows) + (b"\n" if end else b"")
    assert await read(data, JSONL, sizes=sizes) == list(enumerate(rows, start=1))


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    names = draw(st.lists(texts.filter(lambda name: bool(name.strip())), min_size=2, max_size=4, unique=True))
    row = st.lists(texts, min_size=len(names), max_size=len(names))
    return [names, *draw(st.lists(row, min_size=1, max_size=5))]


@settings(max_examples=150, deadline=None)
@given(table=tables(), sizes=cuts, ending=st.sampled_from(["\n", "\r\n"]), quote_all=st.booleans())
async def test_csv_round_trip(table: list[list[str]], sizes: list[int], ending: str, quote_all: bool) -> None:
    if not quote_all:
        # The standard writer leaves a carriage return or a byte order mark unquoted on some versions of Python.
        table = [[value.replace("\r", "|").replace("\ufeff", "|") for value in row] for row in table]
        assume(len(set(table[0])) == len(table[0]))
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator=ending, quoting=csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL).writerows(table)
    header, *body = table
    read_back = await read(out.getvalue().encode(), CSV, sizes=sizes)
    assert [row.values for row in read_back] == [dict(zip(header, row, strict=True)) for row in body]


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=80) | st.text('ab",\n\r\x00{}[]:1', max_size=60).map(str.encode), sizes=cuts)
@pytest.mark.parametrize("format", [JSONL, CSV])
async def test_chunks_never_change_the_outcome(format: DatasetFormat, data: bytes, sizes: list[int]) -> None:
    async def outcome(chunk_sizes: list[int]) -> list[Row] | str:
        try:
            return await read(data, format, sizes=chunk_sizes)
        except (DatasetRowError, EmptyDatasetError) as exc:
            return exc.message

    assert await outcome(sizes) == await outcome([])
