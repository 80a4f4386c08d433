"""What a process writes, and what it never writes."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from assay.kit.logging import LogFormat, configure_logging, log_context, mask_text


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def stream() -> io.StringIO:
    stream = io.StringIO()
    configure_logging("info", "json", stream=stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_event_is_one_json_line(stream: io.StringIO) -> None:
    structlog.stdlib.get_logger("assay.runs").info("run_finished", samples=2000, run_id=UUID(int=1))
    (line,) = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "run_finished",
        "samples": 2000,
        "run_id": "00000000-0000-0000-0000-000000000001",
        "level": "info",
        "logger": "assay.runs",
    }


def test_records_of_the_standard_library_take_the_same_way(stream: io.StringIO) -> None:
    logging.getLogger("uvicorn.error").warning("slow by %d ms", 7, extra={"path": "/healthz"})
    (line,) = lines(stream)
    assert line["event"] == "slow by 7 ms"
    assert (line["level"], line["logger"], line["path"]) == ("warning", "uvicorn.error", "/healthz")


def test_lower_levels_and_talkative_libraries_are_silent(stream: io.StringIO) -> None:
    structlog.stdlib.get_logger("assay").debug("detail")
    logging.getLogger("anything").debug("detail")
    logging.getLogger("httpx").info("HTTP Request: GET …")
    assert lines(stream) == []


async def test_context_is_on_every_line_of_its_task_and_no_other(stream: io.StringIO) -> None:
    log = structlog.stdlib.get_logger("assay")

    async def handle(request_id: str) -> None:
        with log_context(request_id=request_id):
            await asyncio.sleep(0)
            log.info("ours")
            logging.getLogger("library").info("theirs")

    async with asyncio.TaskGroup() as group:
        for request_id in ("one", "two"):
            group.create_task(handle(request_id))
    log.info("outside")
    assert [line.get("request_id") for line in lines(stream)] == ["one", "one", "two", "two", None]


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    text: str
    masked: str


CASES = [
    Case("mk", "key mk-0123456789abcdef.", "key mk-***"),
    Case("phx", "phx_0123456789", "phx_***"),
    Case("phc", '{"token":"phc_0123456789"}', '{"token":"phc_***"}'),
    Case("ovr", "ovr_0123456789,next", "ovr_***,next"),
    Case("openai project key", "Incorrect API key: sk-proj-AbC_dEf-0123", "Incorrect API key: sk-***"),
    Case("webhook secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw==", "whsec_***"),
    Case("after an underscore", "key_sk-0123456789", "key_sk-***"),
    Case("bearer", "Authorization: Bearer abcdefghijk", "Authorization: Bearer ***"),
    Case("url", "postgresql://assay:p@ss:w%2Frd@127.0.0.1:5432/assay", "postgresql://assay:***@127.0.0.1:5432/assay"),
    Case("url without a password", "http://127.0.0.1:8000/a@b", "http://127.0.0.1:8000/a@b"),
    Case("word that ends like a prefix", "task-0123456789 risk-assessment", "task-0123456789 risk-assessment"),
    Case("too short for a key", "sk-learn", "sk-learn"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_secrets_in_text(case: Case) -> None:
    assert mask_text(case.text) == case.masked


@given(
    st.text(max_size=20),
    st.sampled_from(["mk-", "phx_", "phc_", "ovr_", "sk-", "whsec_"]),
    st.from_regex(r"[A-Za-z0-9]{20,40}", fullmatch=True),
)
def test_no_key_survives_after_a_separator(before: str, prefix: str, key: str) -> None:
    assert key not in mask_text(f"{before} {prefix}{key}")


def test_secrets_are_hidden_wherever_they_are(stream: io.StringIO) -> None:
    class Holder:
        def __str__(self) -> str:
            return "Holder(sk-secret-secret)"

    structlog.stdlib.get_logger("assay").info(
        "sk-secret-secret",
        password="secret",
        headers={"X-Api-Key": "secret", "deep": [("sk-secret-secret",)]},
        holder=Holder(),
        api_key=None,
        input_tokens=3,
    )
    (line,) = lines(stream)
    assert "secret" not in json.dumps(line)
    assert line["headers"] == {"X-Api-Key": "***", "deep": [["sk-***"]]}
    assert (line["api_key"], line["input_tokens"]) == (None, 3)


@pytest.mark.parametrize("format", ["json", "console"])
def test_tracebacks_hide_secrets_and_local_variables(format: LogFormat) -> None:
    stream = io.StringIO()
    configure_logging("info", format, stream=stream)
    try:
        local = "local-value"
        raise ValueError("refused sk-secret-secret") from KeyError(len(local))
    except ValueError:
        structlog.stdlib.get_logger("assay").exception("call_failed")
    written = stream.getvalue()
    assert "ValueError: refused sk-***" in written
    assert "Traceback" in written
    assert "'local-value'" not in written


def test_values_that_resist_do_not_stop_the_line(stream: io.StringIO) -> None:
    class Mute:
        def __str__(self) -> str:
            raise RuntimeError

    structlog.stdlib.get_logger("assay").info("odd", mute=Mute(), surrogate="\ud800", large=2**70, number=float("nan"))
    (line,) = lines(stream)
    assert line["mute"] == "<Mute: RuntimeError in __str__>"
    assert (line["surrogate"], line["large"]) == ("\ud800", 2**70)


@pytest.mark.parametrize(("stream", "is_json"), [(io.StringIO(), True), (Terminal(), False)], ids=["pipe", "terminal"])
def test_auto_writes_for_who_reads(stream: io.StringIO, is_json: bool) -> None:
    configure_logging("info", "auto", stream=stream)
    structlog.stdlib.get_logger("assay").info("started", port=8000)
    written = stream.getvalue()
    assert written.startswith("{") is is_json
    assert "started" in written


def test_configuring_again_replaces_the_stream(stream: io.StringIO) -> None:
    second = io.StringIO()
    configure_logging("info", "json", stream=second)
    logging.getLogger("library").info("once")
    assert lines(stream) == []
    assert len(lines(second)) == 1
