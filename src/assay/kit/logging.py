"""Logs: one stream, one form, no secrets.

Events are a name and fields: ``log.info("run_finished", run_id=…, samples=2000)``. Records of libraries that use the
standard library's ``logging`` take the same way, so that everything a process writes can be read by one parser.
``log_context`` puts a request or workflow id on every line written inside it, across ``await``.

The last step before a line is rendered hides secrets: in fields, in nested values and in tracebacks, which is why
tracebacks are made text first and never show local variables.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Generator, Iterable, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any, Literal, TextIO, cast

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "json", "console"]

MASK = "***"

_KEY = re.compile(r"(?<![A-Za-z0-9])(mk-|phx_|phc_|ovr_|sk-|whsec_)[A-Za-z0-9_\-+/=.]{8,}")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[^\s\"',;]{8,}")
_URL_PASSWORD = re.compile(r"(://[^/\s:@]*):[^/\s\"']+@")
_SECRET_FIELD = re.compile(r"(?i)(^|[_-])(password|passwd|secret|secret[_-]key|api[_-]?key|authorization|cookie)$")

# Named by libraries that bring handlers of their own, which would write each line twice and in another form.
_LOGGERS_WITH_HANDLERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "alembic", "sqlalchemy")
# One line per call at "info": of interest only when something is being hunted down.
_TALKATIVE = ("httpx", "httpcore", "aiohttp.access", "asyncio", "alembic", "uvicorn.error")


def configure_logging(level: LogLevel = "info", format: LogFormat = "auto", *, stream: TextIO | None = None) -> None:
    """Send every log of this process to one stream. Called once by a composition root; later calls replace it.

    Args:
        level: Lowest level that is written.
        format: ``json``: one object a line. ``console``: for people. ``auto``: console on a terminal, else JSON.
        stream: Where to write; standard error if None, since standard output belongs to the commands' results.
    """
    target = sys.stderr if stream is None else stream
    console = format == "console" or (format == "auto" and target.isatty())
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*_enrich(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(number),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(_formatter(console=console, colors=target.isatty()))
    _route_standard_loggers(handler, number)


@contextmanager
def log_context(**fields: object) -> Generator[None]:
    """Put fields (``request_id``, ``workflow_id``) on every line written inside, in this task and those it starts."""
    with structlog.contextvars.bound_contextvars(**fields):
        yield


def _enrich() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _formatter(*, console: bool, colors: bool) -> logging.Formatter:
    render: Processor = (
        structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)
        if console
        else _render_json
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_enrich(), structlog.stdlib.ExtraAdder()],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            hide_secrets,
            render,
        ],
    )


def _route_standard_loggers(handler: logging.Handler, level: int) -> None:
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _LOGGERS_WITH_HANDLERS:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(level, logging.WARNING) if level > logging.DEBUG else level)
    logging.captureWarnings(capture=True)


def hide_secrets(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """A structlog processor that replaces secrets by ``***`` and everything that is no JSON by its text."""
    return cast("MutableMapping[str, Any]", _masked_mapping(event))


def mask_text(text: str) -> str:
    """The text without API keys (their prefix stays), bearer tokens and passwords in URLs."""
    text = _KEY.sub(rf"\1{MASK}", text)
    text = _BEARER.sub(rf"\1 {MASK}", text)
    return _URL_PASSWORD.sub(rf"\1:{MASK}@", text)


def _masked_mapping(values: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        str(name): MASK if _SECRET_FIELD.search(str(name)) and value is not None else _masked(value)
        for name, value in values.items()
    }


def _masked(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, Mapping):
        return _masked_mapping(cast("Mapping[Any, Any]", value))
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked(item) for item in cast("Iterable[Any]", value)]
    return mask_text(_text_of(value))


def _text_of(value: object) -> str:
    # A log line must not fail because an object cannot describe itself.
    try:
        return str(value)
    except Exception as exc:
        return f"<{type(value).__name__}: {type(exc).__name__} in __str__>"


def _render_json(logger: WrappedLogger, method: str, event: EventDict) -> str:
    try:
        return orjson.dumps(event).decode()
    except TypeError:
        # Lone surrogates and integers beyond 64 bits, which orjson refuses.
        return json.dumps(event)
