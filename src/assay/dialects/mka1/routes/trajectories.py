"""What agents did in their trials (M§2.1, rows 24 and 25)."""

from __future__ import annotations

import orjson
from fastapi import Response

from assay.core.runs import trajectories
from assay.core.runs.trajectories import Trajectory
from assay.dialects.edge.bodies import parse_json
from assay.dialects.mka1.identifiers import Prefix, read_id, write_id
from assay.dialects.mka1.query import ModelHint, SampleIndexPath, TaskHint
from assay.dialects.mka1.route import EvalsReader, EvalsWriter, LargeBodyRoute, Session, mka1_router
from assay.dialects.mka1.wire.trajectories import UploadTrajectory, WireTrajectory, WireTrajectoryUploaded


class TrajectoryRoute(LargeBodyRoute):
    """Terminal output holds control characters, and tool calls nest deeply: only the form of the JSON is checked."""

    def check_body(self, body: bytes) -> None:
        """Strict JSON, of any content."""
        parse_json(body)


router = mka1_router("/api/v1/llm/evals", tag="trajectories", route_class=TrajectoryRoute)


@router.get("/runs/{run_id}/samples/{sample_index}/trajectory", response_model=WireTrajectory)
async def get_sample_trajectory(
    run_id: str,
    sample_index: SampleIndexPath,
    caller: EvalsReader,
    session: Session,
    task_id: TaskHint = None,
    model: ModelHint = None,
) -> Response:
    """Retrieve a trajectory."""
    found = await trajectories.get_trajectory(
        session,
        caller,
        run_id=read_id(Prefix.RUN, run_id, param="run_id"),
        sample_index=sample_index,
        task_id=task_id,
        model=model,
    )
    return Response(_render(found), media_type="application/json")


@router.put("/runs/{run_id}/samples/{sample_index}/trajectory")
async def upload_sample_trajectory(
    run_id: str,
    sample_index: SampleIndexPath,
    body: UploadTrajectory,
    caller: EvalsWriter,
    session: Session,
    task_id: TaskHint = None,
    model: ModelHint = None,
) -> WireTrajectoryUploaded:
    """Store a trajectory, or replace it."""
    stored = await trajectories.store_trajectory(
        session,
        caller,
        run_id=read_id(Prefix.RUN, run_id, param="run_id"),
        sample_index=sample_index,
        steps=body.steps,
        schema_version=body.schema_version,
        logs=body.logs,
        task_id=task_id,
        model=model,
    )
    return WireTrajectoryUploaded(
        object="eval.sample.trajectory.uploaded",
        run_id=write_id(Prefix.RUN, stored.run_id),
        sample_index=stored.sample_index,
        task_id=stored.task_id,
        model=stored.model,
        step_count=stored.step_count,
        size_bytes=stored.size_bytes,
    )


def _render(found: Trajectory) -> bytes:
    """The fields of ``WireTrajectory``, with the stored JSON put in as it is."""
    return orjson.dumps(
        {
            "object": "eval.sample.trajectory",
            "run_id": write_id(Prefix.RUN, found.run_id),
            "sample_index": found.sample_index,
            "task_id": found.task_id,
            "model": found.model,
            "schema_version": found.schema_version,
            "step_count": found.step_count,
            "size_bytes": found.size_bytes,
            "steps": orjson.Fragment(found.steps),
            "logs": None if found.logs is None else orjson.Fragment(found.logs),
        }
    )
