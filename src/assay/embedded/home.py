"""The folder that holds everything an Assay on one machine keeps.

    <home>/                   0700 when Assay makes it
        lock                  held (flock) by the one process that runs the services here; names its pid
        credentials.json      0600, what a client needs to connect
        secret.key            0600, encrypts stored secrets
        ports.json            ports of the last start, kept where they are still free
        postgres.password     0600
        postgres/             data of PostgreSQL
        temporal.db           data of Temporal
        files/                uploads and artifacts
        logs/                 one file per service

Secrets are written to a new file that is then renamed over the old one, so a crash leaves either the old or the new
content and never half of it.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import stat
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, cast

from assay.embedded.errors import HomeInUseError, HomeUnusableError

_SECRET_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Credentials:
    """Content of ``credentials.json``: how a client reaches this Assay."""

    base_url: str
    api_key: str
    capture_token: str
    organization_id: str
    project_id: int
    """Integer id, as one dialect names projects."""
    project_uuid: str

    def __repr__(self) -> str:
        return f"Credentials(base_url={self.base_url!r}, project_id={self.project_id!r})"


@dataclass(frozen=True, slots=True)
class AssayHome:
    """Paths and small files under one home folder."""

    path: Path
    """Absolute, whatever form it was given in: the services run in another working folder."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", self.path.expanduser().resolve())

    @property
    def lock_file(self) -> Path:
        """File whose flock makes its holder the only one to run services here."""
        return self.path / "lock"

    @property
    def credentials_file(self) -> Path:
        """``credentials.json``."""
        return self.path / "credentials.json"

    @property
    def secret_key_file(self) -> Path:
        """Key that encrypts stored secrets."""
        return self.path / "secret.key"

    @property
    def ports_file(self) -> Path:
        """Ports of the last start, by service."""
        return self.path / "ports.json"

    @property
    def postgres_password_file(self) -> Path:
        """Password of the database role."""
        return self.path / "postgres.password"

    @property
    def postgres_data(self) -> Path:
        """Data folder of PostgreSQL."""
        return self.path / "postgres"

    @property
    def temporal_database(self) -> Path:
        """Database file of Temporal."""
        return self.path / "temporal.db"

    @property
    def files(self) -> Path:
        """Uploads and artifacts."""
        return self.path / "files"

    @property
    def logs(self) -> Path:
        """Logs of the services."""
        return self.path / "logs"

    def prepare(self) -> None:
        """Make the folders that are missing.

        Raises:
            HomeUnusableError: The home is no folder, belongs to another user, or others may write into it.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._refuse_unsafe()
            for folder in (self.files, self.logs):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as exc:
            raise HomeUnusableError(
                f"cannot use {self.path} as Assay's home: {exc.strerror}. Set ASSAY_HOME to a folder of your own."
            ) from exc

    def _refuse_unsafe(self) -> None:
        # Whoever can write here can replace the key that protects every stored secret.
        status = self.path.stat()
        if status.st_uid != os.geteuid():
            raise HomeUnusableError(
                f"{self.path} belongs to user {status.st_uid}, Assay runs as user {os.geteuid()}. "
                "Set ASSAY_HOME to a folder of your own."
            )
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise HomeUnusableError(
                f"other users may write into {self.path} (mode {stat.S_IMODE(status.st_mode):04o}). "
                f"Run `chmod 700 {self.path}` or set ASSAY_HOME to another folder."
            )

    @contextmanager
    def lock(self) -> Generator[None]:
        """Be the only process that runs services on this home. The kernel lets go when the process ends, even by force.

        Raises:
            HomeInUseError: Another process holds it.
        """
        descriptor = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                raise self._in_use(descriptor) from exc
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(descriptor)

    def _in_use(self, descriptor: int) -> HomeInUseError:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
        return HomeInUseError(
            f"{self.path} is in use by another Assay (process {holder or 'unknown'}). "
            "Stop that one, or set ASSAY_HOME to another folder.",
            data={"pid": int(holder) if holder.isdecimal() else None},
        )

    def read_credentials(self) -> Credentials | None:
        """The stored credentials, or None before the first start.

        Raises:
            HomeUnusableError: The file is readable by other users, or is not what Assay wrote.
        """
        text = self._read_secret(self.credentials_file)
        if text is None:
            return None
        try:
            content = cast("dict[str, Any]", json.loads(text))
            return Credentials(**{field.name: content[field.name] for field in fields(Credentials)})
        except (ValueError, KeyError, TypeError) as exc:
            raise HomeUnusableError(
                f"{self.credentials_file} is damaged ({exc!r}). Move it away; the next start writes a new one."
            ) from exc

    def write_credentials(self, credentials: Credentials) -> None:
        """Replace the stored credentials, all or nothing, mode 0600."""
        write_private(self.credentials_file, json.dumps(asdict(credentials), indent=2) + "\n")

    def ensure_secret_key(self) -> str:
        """The key that encrypts stored secrets: 32 random bytes in URL-safe base64, made on first use.

        Raises:
            HomeUnusableError: The file is readable by other users.
        """
        return self.ensure_secret(self.secret_key_file, length=_SECRET_KEY_BYTES)

    def ensure_secret(self, path: Path, *, length: int) -> str:
        """The secret in a file of this home, made of ``length`` random bytes if there is none yet."""
        existing = self._read_secret(path)
        if existing:
            return existing
        secret = secrets.token_urlsafe(length)
        write_private(path, secret)
        return secret

    def _read_secret(self, path: Path) -> str | None:
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & 0o077:
                raise HomeUnusableError(
                    f"other users may open {path} (mode {mode:04o}). Run `chmod 600 {path}`, and renew what it holds "
                    "if somebody else may have read it."
                )
            return path.read_text().strip()
        except FileNotFoundError:
            return None
        except PermissionError as exc:
            raise HomeUnusableError(f"cannot read {path}: {exc.strerror}. It must belong to you, mode 0600.") from exc

    def recall_port(self, service: str) -> int | None:
        """Port that a service had at the last start."""
        return self._read_ports().get(service)

    def remember_port(self, service: str, port: int) -> None:
        """Keep a service's port for the next start."""
        ports = self._read_ports()
        if ports.get(service) != port:
            write_private(self.ports_file, json.dumps({**ports, service: port}) + "\n")

    def _read_ports(self) -> dict[str, int]:
        # Only a preference: a lost or damaged file costs new port numbers, nothing else.
        try:
            content = json.loads(self.ports_file.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        if not isinstance(content, dict):
            return {}
        entries = cast("dict[str, Any]", content)
        return {service: port for service, port in entries.items() if isinstance(port, int)}


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read (0600), all or nothing, on disk before this returns."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
