"""Datasets of the hub: from a folder, from a hub on loopback, and from people who mean harm."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from tests.support.dataset_hub import REPOSITORY, TOKEN, DatasetHub

from assay.core.datasets.errors import DatasetRowError, EmptyDatasetError
from assay.core.datasets.hub.errors import (
    HubChangedError,
    HubDatasetError,
    HubTooLargeError,
    HubUnavailableError,
    MissingExtraError,
)
from assay.core.datasets.hub.places import Pin
from assay.core.datasets.hub.service import HubReader
from assay.core.datasets.hub.types import HubAccess, HubPart
from assay.outbound.client import GuardedClient
from assay.outbound.errors import AddressRefusedError
from assay.outbound.policy import OutboundPolicy

# pyarrow has no types of its own.
pa: Any = import_module("pyarrow")
pq: Any = import_module("pyarrow.parquet")

LOOPBACK = OutboundPolicy.of(("127.0.0.1", "localhost"), ())
OLD, NEW = "0" * 39 + "1", "0" * 39 + "2"
README = b"""---
configs:
- config_name: en
  data_files:
  - {split: train, path: data/train.jsonl}
  - {split: test, path: data/test.jsonl}
- config_name: es
  data_files: es/test.jsonl
---
# Questions
"""


def lines(*rows: Mapping[str, Any]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def questions(word: str, count: int) -> bytes:
    return lines(*({"question": f"{word} {number}", "answer": number} for number in range(count)))


FILES = {
    "README.md": README,
    "data/train.jsonl": questions("train", 6),
    "data/test.jsonl": questions("test", 4),
    "es/test.jsonl": questions("prueba", 2),
    "logo.png": b"\x89PNG",
}


def write(root: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


class Pins:
    """Keeps the first revision of each source, as a run does."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    async def __call__(self, source: str, revision: str) -> str:
        return self.kept.setdefault(source, revision)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "sets" / REPOSITORY, FILES)
    return tmp_path / "sets"


@pytest.fixture
async def hub() -> AsyncIterator[DatasetHub]:
    async with DatasetHub(commits={NEW: FILES}) as server:
        yield server


def reader(policy: OutboundPolicy | None = None, **access: Any) -> HubReader:
    return HubReader(HubAccess(**access), GuardedClient(policy or OutboundPolicy()))


def part(**fields: Any) -> HubPart:
    return HubPart(**{"path": REPOSITORY, **fields})


async def read(source: HubReader, wanted: HubPart, *, max_rows: int = 1000, pin: Pin | None = None) -> list[Any]:
    return await source.read(wanted, max_rows=max_rows, pin=pin or Pins())


@pytest.mark.parametrize(
    ("wanted", "most", "found"),
    [
        ({"name": "en", "split": "test"}, 100, ["test 0", "test 1", "test 2", "test 3"]),
        ({"name": "en", "split": "train"}, 2, ["train 0", "train 1"]),
        ({"name": "es"}, 100, ["prueba 0", "prueba 1"]),
        ({"name": "en", "split": "train[4:]+test[:25%]"}, 100, ["train 4", "train 5", "test 0"]),
        ({"data_files": {"all": "data/*.jsonl"}}, 5, [*(f"test {number}" for number in range(4)), "train 0"]),
    ],
)
async def test_parts_of_a_dataset(folder: Path, wanted: dict[str, Any], most: int, found: list[str]) -> None:
    rows = await read(reader(folder=folder), part(**wanted), max_rows=most)
    assert [row["question"] for row in rows] == found
    assert {type(row["answer"]) for row in rows} == {int}


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"path": "nobody/nothing"}, "has no subfolder nobody/nothing"),
        ({"revision": "v1"}, "has no subfolder museum/questions@v1"),
        ({}, "available configs: ['en', 'es']"),
        ({"name": "fr"}, "'fr' not found"),
        ({"name": "en"}, "name one in `split`"),
        ({"name": "en", "split": "dev"}, "no split 'dev'; there are 'train', 'test'"),
        ({"data_files": "none.jsonl"}, "none.jsonl"),
    ],
)
async def test_parts_that_are_not_there(folder: Path, wanted: dict[str, Any], says: str) -> None:
    with pytest.raises(HubDatasetError) as caught:
        await read(reader(folder=folder), part(**wanted))
    assert says in caught.value.message
    assert str(folder) not in caught.value.message


async def test_a_folder_is_pinned_by_its_files(folder: Path) -> None:
    pins, source = Pins(), reader(folder=folder)
    wanted = part(name="en", split="test")
    first = await read(source, wanted, pin=pins)
    (folder / REPOSITORY / "data/train.jsonl").write_bytes(b"{}\n")  # another split
    assert await read(source, wanted, pin=pins) == first
    assert list(pins.kept) == ["museum/questions, config en, split test"]
    assert pins.kept[wanted.label].startswith("sha256:")
    (folder / REPOSITORY / "data/test.jsonl").write_bytes(questions("other", 4))
    with pytest.raises(HubChangedError, match="have changed in the folder"):
        await read(source, wanted, pin=pins)


async def test_a_revision_is_a_folder_of_its_own(folder: Path) -> None:
    write(folder / f"{REPOSITORY}@v1", {"test.jsonl": questions("old", 1)})
    assert await read(reader(folder=folder), part(revision="v1")) == [{"question": "old 0", "answer": 0}]


def change_readme(pattern: str) -> Callable[[Path], None]:
    text = f"---\nconfigs:\n- config_name: default\n  data_files: '{pattern}'\n---\n"
    return lambda root: write(root, {"README.md": text.encode()})


def add_link(root: Path) -> None:
    (root.parent / "secret.jsonl").write_bytes(lines({"secret": 1}))
    (root / "data/link.jsonl").symlink_to(root.parent / "secret.jsonl")
    change_readme("data/link.jsonl")(root)


def name_absolute(root: Path) -> None:
    change_readme(str(root.parent / "secret.jsonl"))(root)


def add_script(root: Path) -> None:
    ran = root.parent / "ran"
    write(root, {"questions.py": f"open({str(ran)!r}, 'w')\n".encode()})
    change_readme("*.pkl")(root)
    write(root, {"rows.pkl": b"cos\nsystem\n(S'true'\ntR."})


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(change_readme("/etc/passwd"), id="no file of rows"),
        pytest.param(name_absolute, id="a file of the machine"),
        pytest.param(change_readme("../secret.jsonl"), id="a file beside it"),
        pytest.param(change_readme("http://169.254.169.254/latest/data.jsonl"), id="an address"),
        pytest.param(change_readme("zip://*.jsonl::http://127.0.0.1:1/x.zip"), id="an archive at an address"),
        pytest.param(add_link, id="a link that leads out"),
        pytest.param(add_script, id="code"),
    ],
)
async def test_descriptions_that_lead_elsewhere(folder: Path, harm: Callable[[Path], None]) -> None:
    root = folder / REPOSITORY
    (root.parent / "secret.jsonl").write_bytes(lines({"secret": 1}))
    harm(root)
    pins = Pins()
    with pytest.raises(HubDatasetError) as caught:
        await read(reader(folder=folder), part(), pin=pins)
    assert pins.kept == {}  # nothing was read
    assert str(folder) not in caught.value.message
    assert not (root.parent / "ran").exists()


async def test_a_row_out_of_bounds(folder: Path) -> None:
    write(folder / REPOSITORY, {"es/test.jsonl": lines({"text": "x" * 5_000_000})})
    with pytest.raises(DatasetRowError, match="longer than 4,194,304 bytes"):
        await read(reader(folder=folder), part(name="es"))


async def test_too_slow(folder: Path) -> None:
    with pytest.raises(HubTooLargeError, match=r"within 0\.05 seconds.*ASSAY_HUB_TIMEOUT_SECONDS"):
        await read(reader(folder=folder, timeout_seconds=0.05), part(name="es"))


async def test_from_the_hub(hub: DatasetHub) -> None:
    hub.gated, pins = True, Pins()
    source = reader(LOOPBACK, url=hub.url, token=TOKEN)
    rows = await read(source, part(name="en", split="test"), pin=pins)
    assert [row["question"] for row in rows] == ["test 0", "test 1", "test 2", "test 3"]
    # Only what the part needs is fetched; the token stays with the hub; the commit is noted.
    assert hub.fetched() == ["README.md", "data/test.jsonl"]
    for host, _, authorization in hub.requests:
        assert (authorization is not None) is host.startswith("127.0.0.1")
    assert pins.kept == {"museum/questions@main": NEW}


async def test_a_run_goes_on_with_the_commit_it_began_with(hub: DatasetHub) -> None:
    pins = Pins()
    pins.kept["museum/questions@main"] = OLD
    hub.commits = {OLD: {"test.jsonl": questions("old", 1)}, NEW: FILES}
    rows = await read(reader(LOOPBACK, url=hub.url), part(), pin=pins)
    assert rows == [{"question": "old 0", "answer": 0}]


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"gated": True}, HubDatasetError, "ASSAY_HUB_TOKEN"),
        ({"commits": {}}, HubDatasetError, "no dataset museum/questions@v2"),
        ({"status": 503}, HubUnavailableError, "status 503"),
        ({"status": 418}, HubDatasetError, "status 418"),
        ({"breaks_off": True}, HubUnavailableError, "broke off"),
    ],
)
async def test_a_hub_that_does_not_give(
    hub: DatasetHub, changes: dict[str, Any], error: type[Exception], says: str
) -> None:
    hub.commits = {**hub.commits, "v1": FILES}
    for name, value in changes.items():
        setattr(hub, name, value)
    revision = "v2" if "commits" in changes else NEW
    with pytest.raises(error, match=says):
        await read(reader(LOOPBACK, url=hub.url), part(name="en", split="test", revision=revision))


async def test_more_bytes_than_allowed(hub: DatasetHub) -> None:
    source = reader(LOOPBACK, url=hub.url, max_bytes=len(FILES["data/test.jsonl"]) - 1)
    with pytest.raises(HubTooLargeError, match="ASSAY_HUB_MAX_BYTES"):
        await read(source, part(name="en", split="test"))


async def test_requests_are_guarded(hub: DatasetHub) -> None:
    with pytest.raises(AddressRefusedError):
        await read(reader(url=f"https://127.0.0.1:{hub.port}"), part())
    assert hub.requests == []


def parquet(path: Path, table: Any) -> bytes:
    pq.write_table(table, path)
    return path.read_bytes()


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 1000):
        yield content[start : start + 1000]


async def test_parquet_and_its_types(tmp_path: Path) -> None:
    table = pa.table(
        {
            "text": ["a", "b", "c"],
            "at": [datetime(2026, 1, 2, 3, 4, 5)] * 3,  # noqa: DTZ001 - as the file has it
            "price": [Decimal("1.50")] * 3,
            "clip": [{"bytes": b"RIFF", "path": "/etc/passwd"}] * 3,
            "labels": [[1, 2], [], None],
            "score": [0.5, None, float("nan")],
        }
    )
    rows = await reader().read_parquet(chunks(parquet(tmp_path / "t.parquet", table)), max_rows=3)
    assert rows[0] == {
        "text": "a",
        "at": "2026-01-02T03:04:05",
        "price": "1.50",
        "clip": {"bytes": "UklGRg==", "path": "/etc/passwd"},
        "labels": [1, 2],
        "score": 0.5,
    }
    assert [row["score"] for row in rows] == [0.5, None, None]
    assert len(await reader().read_parquet(chunks((tmp_path / "t.parquet").read_bytes()), max_rows=2)) == 2


async def test_parquet_that_is_none(tmp_path: Path) -> None:
    content = parquet(tmp_path / "t.parquet", pa.table({"a": list(range(10_000))}))
    for wrong in (b"", b"PAR1", content[:-100], content[1000:]):
        with pytest.raises(HubDatasetError):
            await reader().read_parquet(chunks(wrong), max_rows=1)
    empty = parquet(tmp_path / "e.parquet", pa.table({"a": []}))
    with pytest.raises(EmptyDatasetError):
        await reader().read_parquet(chunks(empty), max_rows=1)


async def test_without_the_extra(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'assay\[hf\]'"):
        await read(reader(folder=folder), part(name="es"))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match="Parquet files cannot be read here"):
        await reader().read_parquet(chunks(b""), max_rows=1)


async def test_fields_of_changing_types(folder: Path) -> None:
    rows = [{"a": 1, "m": "x"}, {"a": 2, "m": {"k": [1, "y"]}}]
    write(folder / "mixed/rows", {"test.jsonl": lines(*rows)})
    assert await read(reader(folder=folder), part(path="mixed/rows")) == rows
