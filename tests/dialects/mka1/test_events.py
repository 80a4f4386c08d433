"""Payloads of webhooks: snapshots that come back whole, and a size that is kept."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson
import pytest

from assay.core.runs.snapshots import read_snapshot, write_snapshot
from assay.core.runs.types import Run, RunConfig, RunStatus, TokenCounts
from assay.core.webhooks.types import Event, OwnerKind
from assay.dialects.mka1 import mapping
from assay.dialects.mka1.events import MAX_PAYLOAD_BYTES, render_event
from assay.kit.clock import utc_now
from assay.kit.ids import new_id

RUN = Run(
    id=new_id(),
    organization_id=new_id(),
    project_id=new_id(),
    suite_id=new_id(),
    suite_version_id=new_id(),
    suite_version=3,
    status=RunStatus.COMPLETED,
    config=RunConfig(models=["openai/m"], task_ids=["a"], generation={"temperature": 0.5}, concurrency=4),
    total=10,
    completed=9,
    failed=1,
    metrics={"overall": {"exact_match": 0.5}, "by_model": {}, "by_task": {"a": {"metrics": {"exact_match": 0.5}}}},
    error=None,
    result_file_id=new_id(),
    samples_file_id=None,
    metadata={"größe": "1"},
    dataset_revisions={"org/set": "abc"},
    agent_name=None,
    agent_version=None,
    agent_effort=None,
    estimate_usd=None,
    cost_usd=Decimal("0.1234567890"),
    tokens=TokenCounts(1, 2, None, 0),
    execution=2,
    created_at=utc_now(),
    started_at=utc_now(),
    completed_at=None,
    cancelled_at=None,
    failed_at=None,
)


def render(run: Run) -> bytes:
    snapshot = orjson.loads(orjson.dumps(write_snapshot(run)))
    return render_event(
        Event(
            id=new_id(),
            type=f"eval.run.{run.status.value}",
            owner_kind=OwnerKind.SCHEDULE,
            owner_id=new_id(),
            subject_id=run.id,
            snapshot=snapshot,
            created_at=utc_now(),
        )
    )


def test_a_snapshot_comes_back_as_the_run_it_was() -> None:
    assert read_snapshot(orjson.loads(orjson.dumps(write_snapshot(RUN)))) == RUN


def test_the_run_is_whole_where_it_fits() -> None:
    data = orjson.loads(render(RUN))["data"]
    assert set(data) == {"schedule_id", "run"}
    assert data["run"] == mapping.to_run(RUN).model_dump(mode="json")


LARGE = {f"task-{number}": {"metrics": {"m" * 100: 0.5}} for number in range(3000)}


@pytest.mark.parametrize(
    ("changes", "metrics"),
    [
        ({"metrics": {"overall": {"m": 1.0}, "by_task": LARGE}}, {"overall": {"m": 1.0}}),
        ({"metrics": {"overall": {"m": 1.0}, "by_model": LARGE, "by_task": {}}}, None),
        ({"metrics": {"overall": {}}, "error": {"message": "x" * MAX_PAYLOAD_BYTES}}, None),
    ],
)
def test_a_large_run_is_shortened_and_says_so(changes: dict[str, Any], metrics: dict[str, Any] | None) -> None:
    payload = render(replace(RUN, **changes))
    assert len(payload) <= MAX_PAYLOAD_BYTES
    data = orjson.loads(payload)["data"]
    assert data["shortened"] is True
    assert data["run"]["metrics"] == metrics
    assert data["run"]["request_counts"] == {"total": 10, "completed": 9, "failed": 1}
