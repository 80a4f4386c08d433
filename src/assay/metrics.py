"""What a process counts for Prometheus."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable
from functools import lru_cache

from prometheus_client import Counter, Histogram

from assay.core.capture.types import Captured
from assay.core.online.types import Ended, Leased
from assay.gateway.types import CallRecord

MODEL_CALLS = Counter("assay_model_calls", "Attempts at model calls.", ("provider", "model", "operation", "outcome"))
MODEL_CALL_SECONDS = Histogram(
    "assay_model_call_seconds",
    "Time of an attempt at a model call.",
    ("provider", "operation"),
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
)
MODEL_TOKENS = Counter("assay_model_tokens", "Tokens by class.", ("provider", "model", "kind"))
REQUESTS = Counter("assay_http_requests", "Answered requests.", ("method", "route", "status"))
REQUEST_SECONDS = Histogram(
    "assay_http_request_seconds",
    "Time to the end of the response.",
    ("method", "route"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
CAPTURED_EVENTS = Counter("assay_captured_events", "Events of capture requests.", ("outcome",))
ONLINE_OUTCOMES = Counter(
    "assay_online_outcomes", "Outcomes of the ledger that workers recorded.", ("kind", "outcome", "reason")
)


def observe_capture(captured: Captured) -> None:
    """Count the events of one request: kept now, known from before, refused."""
    stored = len(captured.stored)
    CAPTURED_EVENTS.labels("stored").inc(stored)
    CAPTURED_EVENTS.labels("known").inc(captured.accepted - stored)
    CAPTURED_EVENTS.labels("refused").inc(len(captured.refused))


def observe_outcomes(recorded: Iterable[tuple[Leased, Ended]]) -> None:
    """Count outcomes of the ledger, by the evaluator's kind."""
    tally = Tally((entry.runtime, ended.outcome, ended.reason) for entry, ended in recorded)
    for (kind, outcome, reason), count in tally.items():
        ONLINE_OUTCOMES.labels(kind.value, outcome.value, "" if reason is None else reason.value).inc(count)


def observe_model_call(record: CallRecord) -> None:
    """Count one attempt at a model call."""
    counters = _counters_of(record.provider, record.model, record.operation.value)
    counters.outcome(record.outcome).inc()
    counters.seconds.observe(record.seconds)
    if record.usage is None:
        return
    if record.usage.input_tokens is not None:
        counters.input_tokens.inc(record.usage.input_tokens)
    if record.usage.output_tokens is not None:
        counters.output_tokens.inc(record.usage.output_tokens)


class _ModelCounters:
    """One model's counters, looked up by their labels once instead of at every call."""

    def __init__(self, provider: str, model: str, operation: str) -> None:
        self.seconds = MODEL_CALL_SECONDS.labels(provider, operation)
        self.input_tokens = MODEL_TOKENS.labels(provider, model, "input")
        self.output_tokens = MODEL_TOKENS.labels(provider, model, "output")
        self._labels = (provider, model, operation)
        self._outcomes: dict[str, Counter] = {}

    def outcome(self, outcome: str) -> Counter:
        """The counter of calls that ended so."""
        counter = self._outcomes.get(outcome)
        if counter is None:
            counter = self._outcomes[outcome] = MODEL_CALLS.labels(*self._labels, outcome)
        return counter


_counters_of = lru_cache(maxsize=1024)(_ModelCounters)
