"""What a process counts for Prometheus."""

from __future__ import annotations

from prometheus_client import REGISTRY

from assay.gateway.types import CallRecord, Operation, Usage
from assay.metrics import observe_model_call


def _calls(outcome: str) -> float:
    labels = {"provider": "p", "model": "p/m", "operation": "respond", "outcome": outcome}
    return REGISTRY.get_sample_value("assay_model_calls_total", labels) or 0.0


def _tokens(kind: str) -> float:
    labels = {"provider": "p", "model": "p/m", "kind": kind}
    return REGISTRY.get_sample_value("assay_model_tokens_total", labels) or 0.0


def test_calls_are_counted_by_outcome_and_tokens_by_kind() -> None:
    before = {"ok": _calls("ok"), "timeout": _calls("timeout"), "input": _tokens("input"), "output": _tokens("output")}
    for outcome, usage in (("ok", Usage(3, 2)), ("timeout", None), ("ok", Usage(4, None))):
        observe_model_call(CallRecord("p", "p/m", Operation.RESPOND, outcome, 0.1, usage))
    assert _calls("ok") == before["ok"] + 2
    assert _calls("timeout") == before["timeout"] + 1
    assert (_tokens("input"), _tokens("output")) == (before["input"] + 7, before["output"] + 2)
