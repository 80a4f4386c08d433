"""What a process counts for Prometheus."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

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


def observe_model_call(record: CallRecord) -> None:
    """Count one attempt at a model call."""
    MODEL_CALLS.labels(record.provider, record.model, record.operation.value, record.outcome).inc()
    MODEL_CALL_SECONDS.labels(record.provider, record.operation.value).observe(record.seconds)
    if record.usage is None:
        return
    if record.usage.input_tokens is not None:
        MODEL_TOKENS.labels(record.provider, record.model, "input").inc(record.usage.input_tokens)
    if record.usage.output_tokens is not None:
        MODEL_TOKENS.labels(record.provider, record.model, "output").inc(record.usage.output_tokens)
