"""Permissions, the lock and the small files of a home."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from assay.embedded.errors import HomeInUseError, HomeUnusableError
from assay.embedded.home import AssayHome, Credentials

CREDENTIALS = Credentials(
    base_url="http://127.0.0.1:8000",
    api_key="mk-something-secret",
    capture_token="phc_something_secret",
    organization_id="org-1",
    project_id=1,
    project_uuid="018f0000-0000-7000-8000-000000000000",
)


@pytest.fixture
def home(tmp_path: Path) -> AssayHome:
    home = AssayHome(tmp_path / "deep" / "home")
    home.prepare()
    return home


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_folders_are_private(home: AssayHome) -> None:
    assert [mode_of(path) for path in (home.path, home.files, home.logs)] == [0o700] * 3


def test_relative_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert AssayHome(Path("data")).path == tmp_path / "data"


def test_own_folder_that_others_may_only_read_is_kept_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    AssayHome(tmp_path).prepare()
    assert mode_of(tmp_path) == 0o755


@pytest.mark.parametrize("mode", [0o770, 0o757, 0o1777], ids=oct)
def test_folder_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    with pytest.raises(HomeUnusableError, match=f"chmod 700 {tmp_path}"):
        AssayHome(tmp_path).prepare()


def test_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(HomeUnusableError, match="Set ASSAY_HOME"):
        AssayHome(tmp_path / "home").prepare()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    with pytest.raises(HomeUnusableError, match="belongs to user 65534"):
        AssayHome(tmp_path).prepare()


def test_credentials_round_trip_in_a_private_file(home: AssayHome) -> None:
    assert home.read_credentials() is None
    home.write_credentials(CREDENTIALS)
    assert home.read_credentials() == CREDENTIALS
    assert mode_of(home.credentials_file) == 0o600


def test_failed_write_keeps_the_old_credentials(home: AssayHome, monkeypatch: pytest.MonkeyPatch) -> None:
    home.write_credentials(CREDENTIALS)

    def disk_is_full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", disk_is_full)
    with pytest.raises(OSError, match="No space left"):
        home.write_credentials(Credentials("http://other", "mk-other", "phc_other", "org-2", 2, "uuid"))
    assert home.read_credentials() == CREDENTIALS
    assert sorted(path.name for path in home.path.iterdir()) == ["credentials.json", "files", "logs"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"base_url": "http://x"}'])
def test_damaged_credentials_are_named(home: AssayHome, text: str) -> None:
    home.credentials_file.touch(0o600)
    home.credentials_file.write_text(text)
    with pytest.raises(HomeUnusableError, match=r"credentials\.json is damaged"):
        home.read_credentials()


def test_credentials_that_others_may_read_are_refused(home: AssayHome) -> None:
    home.write_credentials(CREDENTIALS)
    home.credentials_file.chmod(0o644)
    with pytest.raises(HomeUnusableError, match="chmod 600"):
        home.read_credentials()


def test_keys_stay_out_of_the_representation() -> None:
    assert "secret" not in repr(CREDENTIALS)


def test_secret_key_is_made_once(home: AssayHome) -> None:
    key = home.ensure_secret_key()
    assert len(key) >= 43
    assert home.ensure_secret_key() == key
    assert mode_of(home.secret_key_file) == 0o600


def test_ports_are_remembered_by_service(home: AssayHome) -> None:
    home.remember_port("postgres", 1111)
    home.remember_port("temporal", 2222)
    home.remember_port("postgres", 3333)
    assert (home.recall_port("postgres"), home.recall_port("temporal")) == (3333, 2222)


@pytest.mark.parametrize("text", ["", "[]", '{"postgres": "x"}', "{"])
def test_damaged_ports_are_forgotten(home: AssayHome, text: str) -> None:
    home.ports_file.write_text(text)
    assert home.recall_port("postgres") is None


def test_lock_names_its_holder_and_is_given_back(home: AssayHome) -> None:
    with home.lock():
        with pytest.raises(HomeInUseError, match=rf"process {os.getpid()}\)") as caught, home.lock():
            pytest.fail("two holders at once")
        assert caught.value.data == {"pid": os.getpid()}
    with home.lock():
        assert home.lock_file.read_text().strip() == str(os.getpid())


def test_lock_ends_with_its_process(home: AssayHome) -> None:
    script = (
        "import os, pathlib, signal\n"
        "from assay.embedded.home import AssayHome\n"
        f"with AssayHome(pathlib.Path({str(home.path)!r})).lock():\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    with home.lock():
        assert home.lock_file.read_text().strip() == str(os.getpid())
