"""Stored histories of the workflows of online evaluation: replayed by today's code, and free of what users wrote.

After a change that is meant to alter their decisions (and that no running workflow can meet), record anew::

    ASSAY_RECORD_HISTORIES=1 uv run pytest tests/workflows/test_online_histories.py -k record
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from tests.support.evals import Evals, open_evals, working
from tests.support.model_server import ModelServer
from tests.support.online import JUDGE_KEY, Traffic, generation, hog, judge

from assay.core.evaluators.types import TargetKind
from assay.core.online.backfills import create_backfill
from assay.core.online.types import BackfillScope
from assay.db.session import transaction
from assay.kit.clock import utc_now
from assay.workflows.evaluation_backfill.workflow import EvaluationBackfillWorkflow
from assay.workflows.online_evaluation.workflow import OnlineEvaluationWorkflow

CHECKOUT = Path(__file__).parents[2]
HISTORIES = Path(__file__).parent / "histories"
RECORD = "ASSAY_RECORD_HISTORIES"
SECRET = "secret-of-the-users"
WORKFLOWS = [OnlineEvaluationWorkflow, EvaluationBackfillWorkflow]


@pytest.fixture
async def evals(database_url: str, temporal_address: str, tmp_path: Path, models: ModelServer) -> AsyncIterator[Evals]:
    async with open_evals(
        database_url=database_url,
        temporal_address=temporal_address,
        home=tmp_path,
        models=models,
        secret_key="a secret for keys",
    ) as opened:
        yield opened


async def online_programs(traffic: Traffic) -> str:
    """A trace that is waited for, and a generation."""
    config = {"strategy": "inactivity", "quiet_period_seconds": 1, "max_age_seconds": 60}
    trace = await traffic.evaluator(hog(f"return '{SECRET}' = ''", target=TargetKind.TRACE, target_config=config))
    alone = await traffic.evaluator(hog("return true"))
    await traffic.send(generation(SECRET))
    await traffic.settled(alone, 1)
    await traffic.settled(trace, 1)
    return f"online_evaluation/{traffic.principal.project_id}/programs"


async def online_judges(traffic: Traffic) -> str:
    """A call that fails and is made again."""
    traffic.evals.models.behaviour.script = [(500, b"{}")]
    traffic.evals.models.behaviour.reply = lambda prompt, body: json.dumps({"reasoning": SECRET, "verdict": True})
    evaluator = await traffic.evaluator(judge(await traffic.key()))
    await traffic.send(generation(SECRET))
    await traffic.settled(evaluator, 1)
    return f"online_evaluation/{traffic.principal.project_id}/judges"


async def online_backfill(traffic: Traffic) -> str:
    [event] = await traffic.send(generation(SECRET))
    evaluator = await traffic.evaluator(hog("return true"))
    scope = BackfillScope(after=event.timestamp - timedelta(days=1), before=utc_now())
    async with transaction(traffic.sessions) as session:
        made = await create_backfill(session, traffic.principal, evaluator.id, scope)
    await traffic.settled(evaluator, 1)
    return f"evaluation_backfill/{made.id}"


CASES: list[Callable[[Traffic], Awaitable[str]]] = [online_programs, online_judges, online_backfill]
each_case = pytest.mark.parametrize("case", CASES, ids=[case.__name__ for case in CASES])


@each_case
async def test_record_histories(case: Callable[[Traffic], Awaitable[str]], evals: Evals) -> None:
    """Each way to work: its history holds no text of the users' and no key, and replays."""
    async with working(evals):
        workflow_id = await case(Traffic(evals))
        handle = evals.runtime.temporal.get_workflow_handle(workflow_id)
        await handle.result()
        history = await handle.fetch_history()
    # Stack traces name the places of one checkout and one interpreter.
    written = history.to_json().replace(f"{CHECKOUT}/", "").replace(f"{sys.base_prefix}/", "")
    for forbidden in (SECRET, JUDGE_KEY, "How are you"):
        assert forbidden not in written
    await Replayer(workflows=WORKFLOWS).replay_workflow(history)
    if RECORD in os.environ:
        (HISTORIES / f"{case.__name__}.json").write_text(written + "\n", encoding="utf-8")


@each_case
async def test_stored_histories_replay(case: Callable[[Traffic], Awaitable[str]]) -> None:
    written = (HISTORIES / f"{case.__name__}.json").read_text(encoding="utf-8")
    history = WorkflowHistory.from_json(f"online/{case.__name__}", written)
    await Replayer(workflows=WORKFLOWS).replay_workflow(history)
