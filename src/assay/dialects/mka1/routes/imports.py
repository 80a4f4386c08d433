"""Runs that were carried out elsewhere (M§2.1, rows 27 to 29)."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header, Response

from assay.core.imports import agent_runs
from assay.dialects.mka1 import mapping
from assay.dialects.mka1.identifiers import Prefix, read_id
from assay.dialects.mka1.imports import (
    from_import_agent_run,
    from_import_history,
    from_trial,
    to_history_import,
)
from assay.dialects.mka1.route import EvalsWriter, LargeBodyRoute, Session, State, mka1_router
from assay.dialects.mka1.wire.imports import AppendTrials, ImportAgentRun, ImportHistory, WireHistoryImport
from assay.dialects.mka1.wire.runs import WireRun

router = mka1_router("/api/v1/llm/evals", tag="imports", route_class=LargeBodyRoute)

HuggingFaceToken = Annotated[
    str,
    Header(alias="X-HuggingFace-Token", min_length=1, max_length=512, description="The caller's own; never stored."),
]

KEY_REUSED = '299 - "idempotency_key was used for an import with another body; this is the run of the first one"'


@router.post("/imports/agent-run")
async def import_agent_run(body: ImportAgentRun, caller: EvalsWriter, session: Session, response: Response) -> WireRun:
    """Store a coding agent's run, or open one to stream trials into."""
    imported = await agent_runs.import_agent_run(session, caller, from_import_agent_run(body))
    if imported.key_reused:
        response.headers["Warning"] = KEY_REUSED
    return mapping.to_run(imported.run)


@router.post("/runs/{run_id}/trials")
async def append_agent_trials(run_id: str, body: AppendTrials, caller: EvalsWriter, session: Session) -> WireRun:
    """Add trials to an open run, or replace them."""
    trials = [from_trial(trial, place=place) for place, trial in enumerate(body.trials or [])]
    run = await agent_runs.append_trials(
        session, caller, run_id=read_id(Prefix.RUN, run_id, param="run_id"), trials=trials, finalize=body.finalize
    )
    return mapping.to_run(run)


@router.post("/imports/huggingface-results")
async def import_historical_results(
    body: ImportHistory, caller: EvalsWriter, state: State, token: HuggingFaceToken
) -> WireHistoryImport:
    """Import results of lm-evaluation-harness. While a long import goes on, this answers 503; ask again for its end."""
    return to_history_import(await state.history.run(caller, from_import_history(body), token=token))
