"""Folders of readings that were killed."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import pytest

from assay.core.datasets.hub.workplace import PREFIX, remove_abandoned, work_folder


def left_behind(place: Path, name: str, *, age: float) -> Path:
    path = place / f"{PREFIX}{name}"
    path.mkdir()
    (path / "lock").touch()
    (path / "rows.parquet").write_bytes(b"PAR1")
    then = time.time() - age
    os.utime(path, (then, then))
    return path


async def test_only_old_folders_that_nobody_holds_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    abandoned = left_behind(tmp_path, "abandoned", age=4000)
    held, fresh = left_behind(tmp_path, "held", age=4000), left_behind(tmp_path, "fresh", age=10)
    with (held / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        async with work_folder() as folder:
            assert folder.parent == tmp_path.resolve()
            assert not abandoned.exists()
            assert (held / "rows.parquet").exists()
            assert fresh.exists()
            then = time.time() - 4000
            os.utime(folder, (then, then))
            remove_abandoned(tmp_path)
            assert folder.exists()
    assert not folder.exists()
