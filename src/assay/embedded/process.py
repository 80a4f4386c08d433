"""Child processes that cannot outlive Assay unnoticed.

A child is started through ``launcher.py`` in a session of its own (Ctrl-C on the terminal reaches Assay alone, which
then stops its children in order), with an environment of its own (no API key leaks into it), writing to a log file.
On Linux the kernel signals it when the thread that started it ends, so start children from a thread that lives as
long as they should. What survives all the same, or on macOS, is found and ended by the next start.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from assay.embedded import launcher
from assay.embedded.errors import ServiceFailedError

_LOG_KEPT_BYTES = 8 * 1024 * 1024
_LOG_TAIL_BYTES = 2_000
_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Account:
    """User and group that a child runs as."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Step:
    """One step of ending a process: a signal, and how long to wait for its effect."""

    signal: signal.Signals
    wait_seconds: float


@dataclass(frozen=True, slots=True)
class Command:
    """What to start, and how."""

    argv: Sequence[str]
    """Absolute path of the program, then its arguments."""
    death_signal: signal.Signals = signal.SIGKILL
    """What the child gets when Assay dies."""
    account: Account | None = None
    """Another user to run as; only root can ask for one."""

    def launch_arguments(self) -> list[str]:
        """The full command line, launcher included."""
        prefix = [sys.executable, "-I", "-S", launcher.__file__]
        prefix += ["--parent", str(os.getpid()), "--death-signal", str(int(self.death_signal))]
        if self.account is not None:
            prefix += ["--uid", str(self.account.uid), "--gid", str(self.account.gid)]
        return [*prefix, "--", *self.argv]


def child_environment(home: Path) -> dict[str, str]:
    """The whole environment of a child: nothing of Assay's own, which may hold keys."""
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "HOME": str(home), "TMPDIR": "/tmp"}  # noqa: S108


async def spawn(command: Command, *, home: Path, log: IO[bytes]) -> Process:
    """Start a long-running child that writes to ``log``."""
    return await asyncio.create_subprocess_exec(
        *command.launch_arguments(),
        stdin=DEVNULL,
        stdout=log,
        stderr=STDOUT,
        env=child_environment(home),
        cwd="/",
        start_new_session=True,
    )


async def run(command: Command, *, home: Path, stdin: str = "", timeout_seconds: float = 60.0) -> str:
    """Run a command to its end; returns what it wrote.

    Raises:
        ServiceFailedError: It failed or took too long; the message holds the end of its output.
    """
    process = await asyncio.create_subprocess_exec(
        *command.launch_arguments(),
        stdin=PIPE,
        stdout=PIPE,
        stderr=STDOUT,
        env=child_environment(home),
        cwd="/",
        start_new_session=True,
    )
    name = Path(command.argv[0]).name
    try:
        output, _ = await asyncio.wait_for(process.communicate(stdin.encode()), timeout_seconds)
    except TimeoutError as exc:
        raise ServiceFailedError(f"{name} did not end within {timeout_seconds:g} s") from exc
    finally:
        await end(process, [Step(signal.SIGKILL, 5.0)])
    text = output.decode(errors="replace")
    if process.returncode != 0:
        raise ServiceFailedError(f"{name} failed with exit code {process.returncode}:\n{text[-_LOG_TAIL_BYTES:]}")
    return text


async def end(process: Process, steps: Sequence[Step]) -> None:
    """End a child, step by step, until it is gone. Does nothing to one that is gone already."""
    for step in steps:
        if process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(step.signal)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), step.wait_seconds)


def find_processes(belongs: Callable[[psutil.Process], bool]) -> list[psutil.Process]:
    """Every running process for which ``belongs`` holds.

    Those that we may not look at do not count, nor those in another container: the paths they name are not ours.
    """
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.status() != psutil.STATUS_ZOMBIE and belongs(process) and _shares_our_root(process):
                found.append(process)
    return found


def _shares_our_root(process: psutil.Process) -> bool:
    root = Path(f"/proc/{process.pid}/root")
    return sys.platform != "linux" or root.samefile("/")


async def end_processes(processes: Sequence[psutil.Process], steps: Sequence[Step]) -> None:
    """End processes that are not our children, step by step.

    Raises:
        ServiceFailedError: Some are still there after the last step; the message names them.
    """
    for step in steps:
        for process in processes:
            with suppress(psutil.Error):
                process.send_signal(step.signal)
        if await _all_gone(processes, step.wait_seconds):
            return
    alive = [process.pid for process in processes if is_alive(process)]
    if alive:
        raise ServiceFailedError(f"processes {alive} of an earlier run do not end; end them by hand")


async def _all_gone(processes: Sequence[psutil.Process], wait_seconds: float) -> bool:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_seconds
    while any(is_alive(process) for process in processes):
        if loop.time() > deadline:
            return False
        await asyncio.sleep(_POLL_SECONDS)
    return True


def is_alive(process: psutil.Process) -> bool:
    """Whether a process still runs; a zombie holds no file and no port any more."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def open_log(path: Path) -> IO[bytes]:
    """Open a log to append to; a long one is put aside first, replacing the one before it."""
    if path.exists() and path.stat().st_size > _LOG_KEPT_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return path.open("ab", buffering=0)


def log_tail(path: Path, *, since: int = 0) -> str:
    """The end of a log, at most 2,000 bytes, from byte ``since`` on."""
    try:
        with path.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(min(since, size), size - _LOG_TAIL_BYTES))
            return log.read().decode(errors="replace").strip()
    except FileNotFoundError:
        return ""


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this loopback TCP port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def find_free_port(preferred: int | None = None) -> int:
    """A free loopback TCP port: the preferred one if it is free."""
    if preferred is not None and port_is_free(preferred):
        return preferred
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
