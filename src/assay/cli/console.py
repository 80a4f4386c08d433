"""What commands print and how they end.

    0 ok · 1 failed · 2 wrong usage or setting · 3 home in use · 4 port taken · 5 a service or worker was given up

Results go to standard output, everything else to standard error, so that ``--json`` output can be piped.
"""

from __future__ import annotations

import sys
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeVar, cast

import typer
from pydantic import ValidationError

from assay.kit.errors import ConflictError, DomainError, ErrorKind, UnavailableError
from assay.kit.logging import LogFormat, LogLevel, configure_logging, mask_text
from assay.settings import Settings, load_settings

T = TypeVar("T")

_PIPED_WIDTH = 1000


class ExitCode(IntEnum):
    """How a command ended."""

    OK = 0
    FAILED = 1
    USAGE = 2
    HOME_IN_USE = 3
    PORT_IN_USE = 4
    GIVEN_UP = 5


class PortInUseError(ConflictError):
    """Another program listens on the port."""

    code = "port_in_use"


class WorkerFailedError(UnavailableError):
    """A worker keeps dying; the message holds the last reason."""

    code = "worker_failed"


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as the user sees it."""

    message: str
    exit_code: ExitCode


_BY_CODE: Mapping[str, ExitCode] = {
    "home_in_use": ExitCode.HOME_IN_USE,
    "port_in_use": ExitCode.PORT_IN_USE,
    "embedded_service_failed": ExitCode.GIVEN_UP,
    "worker_failed": ExitCode.GIVEN_UP,
}


def explain(error: Exception) -> Failure | None:
    """The message and exit code of an error that is not a fault of Assay's own; None for one that is."""
    if isinstance(error, DomainError):
        usage = ExitCode.USAGE if error.kind is ErrorKind.INVALID else ExitCode.FAILED
        return Failure(error.message, _BY_CODE.get(error.code, usage))
    if isinstance(error, ValidationError):
        return Failure(_describe_setting(error), ExitCode.USAGE)
    if _is_service_fault(error):
        return Failure(f"PostgreSQL does not answer: {mask_text(str(error))}. Try `assay doctor`.", ExitCode.FAILED)
    return None


def _is_service_fault(error: Exception) -> bool:
    # Imported here: an error of this kind can only come up where the driver is loaded already.
    from asyncpg import PostgresError

    from assay.db.faults import is_transient

    return isinstance(error, OSError | PostgresError) or is_transient(error)


def _describe_setting(error: ValidationError) -> str:
    first = error.errors(include_input=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    return f"{error.title}.{name}: {first['msg']}. The variables are listed in docs/settings.md."


def print_error(message: str) -> None:
    """Say what went wrong, on standard error."""
    typer.secho(f"assay: {message}", fg="red" if sys.stderr.isatty() else None, err=True)


def print_json(value: object) -> None:
    """Print one JSON document on a line of its own."""
    import orjson

    typer.echo(orjson.dumps(value, default=_plain).decode())
    sys.stdout.flush()


def _plain(value: object) -> object:
    if isinstance(value, frozenset | set):
        return sorted(str(item) for item in cast("Iterable[object]", value))
    # Ids come as a class of the database driver's own.
    return str(value)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table for people. Cells that are None stay empty; nothing in them is markup."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    # Piped into another program, a line must not be folded at the width of a terminal that is not there.
    console = Console() if sys.stdout.isatty() else Console(width=_PIPED_WIDTH)
    console.print(table)


def prepare(level: LogLevel | None = None, format: LogFormat | None = None) -> Settings:
    """Settings and logs of a role that runs on; the options, where given, replace what the environment says."""
    settings = load_settings()
    chosen = {"level": level or settings.log.level, "format": format or settings.log.format}
    settings = settings.model_copy(update={"log": settings.log.model_copy(update=chosen)})
    configure_logging(settings.log.level, settings.log.format)
    return settings


def prepare_quietly() -> Settings:
    """Settings and logs of a command that soon ends: warnings only, unless ``ASSAY_LOG_LEVEL`` is set."""
    settings = load_settings()
    chosen = "level" in settings.log.model_fields_set
    configure_logging(settings.log.level if chosen else "warning", settings.log.format)
    return settings


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on the fast event loop."""
    import uvloop

    return uvloop.run(main)
