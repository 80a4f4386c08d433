"""The process that reads rows by the libraries of the extra: ``python -m assay.core.datasets.hub.rowworker FOLDER``.

    parent                                     here
    request.json (in FOLDER)              ──►  which files the part has
    files, as the first line of stdout    ◄──
    a line on stdin: the files are there  ──►
    rows, one line of JSON each           ◄──
    error.json (in FOLDER), if it failed  ◄──

Files of strangers are parsed here by large libraries in other languages, so they get a process of their own: without
network (a hook of the interpreter refuses it), without tokens or other variables, with a bound on memory. No code of a
dataset runs: ``datasets`` has not run any since version 4, and only data files are put into the folder. Every file that
is read lies within the repository, whatever its own description says.
"""

from __future__ import annotations

import base64
import os
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import orjson

BATCH_ROWS: Final = 256
MEMORY_BYTES: Final = 6 * 1024**3
FAILED: Final = 3
SUFFIXES: Final = (".parquet", ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".txt")
_PACKERS: Final = ("", ".gz", ".bz2", ".xz", ".zst")
_BUILDERS: Final = frozenset({"csv", "json", "parquet", "text"})
_SPLIT_NAME: Final = re.compile(r"[\w.-]+")
_NETWORK: Final = frozenset({"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"})


class RowsError(Exception):
    """Said to the user as it is."""


def is_data_file(path: str) -> bool:
    """Whether a file of a repository may hold rows."""
    return path.lower().endswith(tuple(suffix + packer for suffix in SUFFIXES for packer in _PACKERS))


def main() -> int:
    """Read what ``request.json`` asks for."""
    folder = Path(sys.argv[1])
    out = _private_stdout()
    _close_doors()
    request: dict[str, Any] = orjson.loads((folder / "request.json").read_bytes())
    try:
        reader = _parquet_rows if request["mode"] == "parquet" else _hub_rows
        for row in reader(request):
            out.write(orjson.dumps(row, default=_plain, option=orjson.OPT_APPEND_NEWLINE))
            if isinstance(row, list):
                out.flush()
                _wait_for_files()
        out.flush()
    except RowsError as error:
        return _fail(folder, str(error))
    except MemoryError:
        return _fail(folder, "it takes too much memory")
    except Exception as error:
        return _fail(folder, _tell(error, request["root"]))
    return 0


def _tell(error: Exception, root: str) -> str:
    """What a library says of a file, without what is of no use to the reader: this machine's paths, long lists."""
    said = f"{type(error).__name__}: {error}".replace(f"{root}/", "").replace(root, "the repository")
    for tail in ("\nExample of usage", " with any supported extension ["):
        said = said.partition(tail)[0]
    return said


def _fail(folder: Path, reason: str) -> int:
    (folder / "error.json").write_bytes(orjson.dumps({"reason": " ".join(reason.split())[:1000]}))
    return FAILED


def _private_stdout() -> BinaryIO:
    """The way to the parent; what a library prints goes nowhere."""
    out = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return out


def _close_doors() -> None:
    def refuse(event: str, arguments: tuple[object, ...]) -> None:
        if event in _NETWORK:
            raise PermissionError(f"no network here ({event})")

    sys.addaudithook(refuse)
    if sys.platform != "win32":
        limits = import_module("resource")
        limits.setrlimit(limits.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))


def _wait_for_files() -> None:
    if not sys.stdin.buffer.readline():
        raise RowsError("nobody waits for its rows any more")


def _parquet_rows(request: Mapping[str, Any]) -> Iterator[list[str] | dict[str, Any]]:
    parquet: Any = import_module("pyarrow.parquet")
    yield []
    with parquet.ParquetFile(request["file"]) as file:
        left = request["max_rows"]
        for batch in file.iter_batches(batch_size=BATCH_ROWS):
            rows = list(_table_rows(batch))[:left]
            yield from rows
            left -= len(rows)
            if left == 0:
                return


def _hub_rows(request: Mapping[str, Any]) -> Iterator[list[str] | dict[str, Any]]:
    """The paths of the files that are needed, then rows."""
    datasets: Any = import_module("datasets")
    root = Path(request["root"])
    builder = _builder(datasets, request)
    split = _chosen_split(builder, request["split"])
    wanted = [name for name in builder.config.data_files if _names(split, name)]
    if not wanted:
        raise RowsError(f"there is no split '{split}'; there are {_listed(builder.config.data_files)}")
    files = {name: list(builder.config.data_files[name]) for name in wanted}
    yield [_inside(root, file) for name in wanted for file in files[name]]
    yield from _first(_tables(builder, split, files), request["max_rows"])


def _builder(datasets: Any, request: Mapping[str, Any]) -> Any:
    builder = datasets.load_dataset_builder(
        request["root"], name=request["name"], data_files=request["data_files"], cache_dir=request["cache"]
    )
    kind = type(builder).__module__.rpartition(".")[2]
    if kind not in _BUILDERS or not builder.config.data_files:
        raise RowsError(f"its data files are of a kind that is not read here; there is {', '.join(SUFFIXES)}")
    return builder


def _chosen_split(builder: Any, split: str | None) -> str:
    names = [str(name) for name in builder.config.data_files]
    if split is not None:
        return split
    if len(names) > 1:
        raise RowsError(f"it has the splits {_listed(names)}; name one in `split`")
    return names[0]


def _names(split: str, name: Any) -> bool:
    """Whether an expression, such as ``train[:10]+test``, speaks of a split."""
    return any(part.strip().partition("[")[0] == str(name) for part in split.split("+"))


def _listed(names: Any) -> str:
    return ", ".join(f"'{name}'" for name in list(names)[:20])


def _inside(root: Path, file: str) -> str:
    """The path of a file in its repository."""
    resolved = Path(file).resolve()
    if "://" in file or not resolved.is_relative_to(root) or not is_data_file(file):
        named = file if "://" in file else os.path.relpath(file, root)
        raise RowsError(f"its description names '{named[:200]}', which is no data file of its own")
    return resolved.relative_to(root).as_posix()


def _tables(builder: Any, split: str, files: Mapping[Any, list[str]]) -> Iterator[Any]:
    # Only these have content, and a builder may look into the first file of any split to learn the columns.
    builder.config.data_files = type(builder.config.data_files)(
        {name: builder.config.data_files[name] for name in files}
    )
    if _SPLIT_NAME.fullmatch(split):
        # As a stream: what lies beyond the wanted rows is not read.
        stream = builder.as_streaming_dataset(split=split).with_format("arrow")
        yield from stream.iter(batch_size=BATCH_ROWS)
        return
    # Parts of splits are counted from their whole, which is brought into Arrow files for that.
    builder.download_and_prepare(verification_mode="no_checks")
    yield from builder.as_dataset(split=split).with_format("arrow").iter(batch_size=BATCH_ROWS)


def _first(tables: Iterator[Any], count: int) -> Iterator[dict[str, Any]]:
    for table in tables:
        for row in _table_rows(table):
            yield row
            count -= 1
            if count == 0:
                return


def _table_rows(table: Any) -> Iterator[dict[str, Any]]:
    """Rows as they are stored: nothing is decoded, so an audio clip is an object with its bytes."""
    packed = {field.name: field.type for field in table.schema if _holds_json(field.type)}
    for row in cast("list[dict[str, Any]]", table.to_pylist()):
        yield {name: _unpack(value, packed[name]) if name in packed else value for name, value in row.items()}


def _holds_json(kind: Any) -> bool:
    if getattr(kind, "extension_name", None) == "arrow.json":
        return True
    return any(_holds_json(kind.field(number).type) for number in range(kind.num_fields))


def _unpack(value: Any, kind: Any) -> Any:
    """Fields of changing types are kept by ``datasets`` as JSON text."""
    if value is None:
        return None
    if getattr(kind, "extension_name", None) == "arrow.json":
        return orjson.loads(value)
    if isinstance(value, list):
        inner = kind.field(0).type
        return [_unpack(one, inner) for one in cast("list[Any]", value)]
    if isinstance(value, dict):
        members = (kind.field(number) for number in range(kind.num_fields))
        return {one.name: _unpack(cast("dict[str, Any]", value).get(one.name), one.type) for one in members}
    return value


def _plain(value: Any) -> Any:
    """What JSON has no word for: bytes as base64, decimals as text, durations in seconds."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, tuple):
        return list(cast("tuple[Any, ...]", value))
    if isinstance(value, dict):
        return {str(key): one for key, one in cast("dict[Any, Any]", value).items()}
    return str(value)


if __name__ == "__main__":
    sys.exit(main())
