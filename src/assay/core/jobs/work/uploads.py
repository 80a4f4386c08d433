"""``uploaded_outputs_setup``: outputs that were made elsewhere become a dataset that can be scored (O§3.4)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import ValidationError

from assay.core.jobs.work.faults import FaultCode, JobFaultError
from assay.core.jobs.work.job import Work
from assay.core.jobs.work.reports import cell
from assay.core.jobs.work.target import UploadedRow, as_object
from assay.core.targets.types import DatasetOrigin
from assay.core.targets.versions import store_outputs
from assay.db.session import transaction

SHOWN_REJECTIONS = 20


async def set_up_outputs(work: Work) -> None:
    """Check the rows, and store those that are right.

    Raises:
        JobFaultError: There are no rows, or none is right.
    """
    rows = work.parameters.rows
    if rows is None:
        rows = [
            {"input": case.input, "output": case.output, "expected_output": case.expected} for case in work.target.cases
        ]
    if not rows:
        raise JobFaultError(
            FaultCode.NO_TARGET,
            "There are no outputs: set result.parameters.rows to a list of {input, output, expected_output?}, or "
            "result.parameters.dataset to a dataset whose items have outputs.",
        )
    points, rejections = _sort(rows)
    if not points:
        first = rejections[0]
        raise JobFaultError(
            FaultCode.NOT_ENOUGH_DATA, f"None of {len(rows)} rows is right; row {first['index']}: {first['reason']}"
        )
    dataset_id = work.made_id("outputs")
    async with transaction(work.ledger.sessions) as session:
        await work.locked(session)
        await store_outputs(
            session,
            work.owner,
            dataset_id=dataset_id,
            agent_id=None if work.target.agent is None else UUID(work.target.agent),
            points=points,
            values={
                "name": "Uploaded outputs",
                "description": f"Made by the job {work.job.id}.",
                "details": {"job": str(work.job.id)},
                "origin": DatasetOrigin.PRODUCTION.value,
            },
            activate_first=True,
        )
    result: dict[str, Any] = {
        "rows_received": len(rows),
        "rows_imported": len(points),
        "rows_rejected": len(rejections),
        "rejections": rejections[:SHOWN_REJECTIONS],
        "partial": bool(rejections),
        "dataset": str(dataset_id),
        "criteria_generated": False,
    }
    await work.write({"report_markdown": _report(work, result)}, result=result)


def _sort(rows: list[Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    points: list[dict[str, Any]] = []
    rejections: list[dict[str, Any]] = []
    for index, row in enumerate(rows):
        if (reason := _fault(row)) is not None:
            rejections.append({"index": index, "reason": reason})
            continue
        given = UploadedRow.model_validate(row)
        details = {"output": given.output} | ({} if given.metadata is None else {"metadata": given.metadata})
        points.append({"input": given.input, "expected": given.expected_output, "details": details})
    return points, rejections


def _fault(row: Any) -> str | None:
    try:
        UploadedRow.model_validate(row)
    except ValidationError:
        return "It is no object."
    given = as_object(row)
    if given.get("output") in (None, ""):
        return "It has no `output`."
    return "It has no `input`." if given.get("input") in (None, "") else None


def _report(work: Work, result: dict[str, Any]) -> str:
    lines = [
        f"# Uploaded outputs: {work.target.agent_name or 'dataset'}",
        "",
        f"**{result['rows_imported']} of {result['rows_received']} rows were imported** into the dataset "
        f"`{result['dataset']}`. A `judge_scoring` job with `result.parameters.dataset` set to it scores them.",
    ]
    if result["rejections"]:
        lines += ["", f"## Rejected rows ({result['rows_rejected']})", ""]
        lines += [f"- row {row['index']}: {cell(row['reason'])}" for row in result["rejections"]]
    return "\n".join([*lines, ""])
