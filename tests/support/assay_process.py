"""``assay`` as users run it: a process with an environment of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

START_SECONDS = 40.0
STOP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Finished:
    """What a command left."""

    exit_code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, read as one JSON document."""
        return json.loads(self.out)


def environment(home: Path, variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """Nothing of the surrounding environment but where programs are, so that no key of the machine gets in."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "ASSAY_HOME": str(home),
        "ASSAY_LOG_FORMAT": "json",
        **(variables or {}),
    }


async def run_assay(
    *arguments: str, home: Path, variables: Mapping[str, str] | None = None, stdin: str = ""
) -> Finished:
    """Run a command to its end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "assay",
        *arguments,
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env=environment(home, variables),
        cwd=home,
    )
    out, err = await asyncio.wait_for(process.communicate(stdin.encode()), START_SECONDS)
    return Finished(process.returncode or 0, out.decode(), err.decode())


class AssayProcess:
    """A role that runs on: ``serve --json``, ``api --json`` or ``worker``."""

    def __init__(self, process: Process, *, home: Path, ready: dict[str, Any], log_file: Path) -> None:
        self.home = home
        self.ready = ready
        self._process = process
        self._log_file = log_file

    @property
    def pid(self) -> int:
        """Of the process itself, not of its children."""
        return self._process.pid

    @property
    def url(self) -> str:
        """Where its API answers."""
        return str(self.ready["base_url"])

    @property
    def log(self) -> str:
        """What it wrote to standard error so far."""
        return self._log_file.read_text()

    @property
    def credentials(self) -> dict[str, Any]:
        """Content of ``credentials.json``."""
        return json.loads((self.home / "credentials.json").read_text())

    def children(self) -> list[psutil.Process]:
        """Every process below it, at this moment."""
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.pid).children(recursive=True)
        return []

    def direct_children(self, word: str) -> list[psutil.Process]:
        """The living direct children with a word in their command line."""
        found: list[psutil.Process] = []
        for child in psutil.Process(self.pid).children():
            # One that ends at this moment has no command line any more.
            with suppress(psutil.NoSuchProcess):
                if word in " ".join(child.cmdline()):
                    found.append(child)
        return found

    def child(self, word: str) -> psutil.Process:
        """The only living direct child with a word in its command line."""
        (child,) = self.direct_children(word)
        return child

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal it, wait for its end; returns its exit code."""
        if self._process.returncode is None:
            self._process.send_signal(number)
        return await self.wait()

    async def wait(self) -> int:
        """Wait for its end."""
        return await asyncio.wait_for(self._process.wait(), STOP_SECONDS)


@asynccontextmanager
async def running_assay(
    *arguments: str, home: Path, variables: Mapping[str, str] | None = None
) -> AsyncGenerator[AssayProcess]:
    """Run a role inside the block; one that reports in JSON has done so on entry."""
    log_file = home.parent / f"{home.name}-{arguments[0]}.log"
    with log_file.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "assay",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=log,
            env=environment(home, variables),
            cwd=home,
        )
    try:
        ready: dict[str, Any] = {}
        if "--json" in arguments:
            assert process.stdout is not None
            line = await asyncio.wait_for(process.stdout.readline(), START_SECONDS)
            assert line, f"assay {arguments[0]} ended early:\n{log_file.read_text()}"
            ready = json.loads(line)
        yield AssayProcess(process, home=home, ready=ready, log_file=log_file)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()
        await process.communicate()  # closes the pipe
