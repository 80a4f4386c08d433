"""``inference``: a prompt and a model over a dataset; what is answered becomes a dataset (O§3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from assay.core.jobs.work.answering import Lane, answer_case
from assay.core.jobs.work.faults import FaultCode, JobFaultError
from assay.core.jobs.work.job import Work
from assay.core.jobs.work.ledger import Answer, complete_all
from assay.core.jobs.work.reports import cell, fenced, spent
from assay.core.jobs.work.target import Case
from assay.core.targets.types import DatasetOrigin
from assay.core.targets.versions import store_outputs
from assay.db.session import transaction
from assay.gateway.types import ModelRole
from assay.sandbox import is_module

SHOWN_ERRORS = 20


async def run_inference(work: Work) -> None:
    """Answer every case, and store the answers.

    Raises:
        JobFaultError: There are no cases, no model, or not a single answer.
    """
    cases, parameters = work.target.cases, work.parameters
    if not cases:
        raise JobFaultError(
            FaultCode.NO_TARGET
            if work.target.agent is None and work.target.dataset is None
            else FaultCode.NOT_ENOUGH_DATA,
            "There are no inputs to run: activate a dataset of the agent, or set result.parameters.dataset.",
        )
    model = await work.resolve(next(iter(parameters.models), work.target.model))
    await work.estimate([(model, ModelRole.CANDIDATE, len(cases))])
    lane, done = Lane(model, work.target.prompt, work.target.function), 0

    async def answer(number: int, case: Case) -> Answer:
        nonlocal done
        found = await answer_case(work.ledger, lane, number, case, timeout_seconds=parameters.timeout_seconds)
        done += 1
        await work.progress("answering", done, len(cases))
        return found

    answers = await complete_all(answer(number, case) for number, case in enumerate(cases))
    result = _summarize(model, answers)
    if not result["succeeded"]:
        code = FaultCode.UNSUPPORTED_CODE if is_module(work.target.prompt) else FaultCode.NO_MODEL
        raise JobFaultError(code, f"None of {len(cases)} inputs was answered: {answers[0].error}")
    dataset_id = work.made_id("outputs")
    await _store(work, dataset_id, model, answers)
    result["dataset"] = str(dataset_id)
    await work.write({"report_markdown": _report(work, model, answers, result)}, result=result)


def _summarize(model: str, answers: Sequence[Answer]) -> dict[str, Any]:
    good = [answer for answer in answers if answer.ok]
    costs = [answer.cost_usd for answer in good]
    known = [cost for cost in costs if cost is not None]
    tokens = [(answer.input_tokens or 0) + (answer.output_tokens or 0) for answer in good]
    errors = [f"{number}: {answer.error}" for number, answer in enumerate(answers) if not answer.ok]
    return {
        "total": len(answers),
        "succeeded": len(good),
        "failed": len(answers) - len(good),
        "partial": len(good) < len(answers),
        "avg_latency_ms": round(1000 * sum(answer.seconds for answer in good) / len(good), 2) if good else None,
        "total_cost": sum(known) if len(known) == len(costs) else None,
        "total_tokens": sum(tokens),
        "model": model,
        "errors": errors[:SHOWN_ERRORS],
    }


async def _store(work: Work, dataset_id: UUID, model: str, answers: Sequence[Answer]) -> None:
    points = [
        {
            "input": case.input,
            "expected": case.expected,
            "details": {"output": answer.text, "model": answer.model, "latency_ms": round(1000 * answer.seconds, 2)},
        }
        for case, answer in zip(work.target.cases, answers, strict=True)
        if answer.ok
    ]
    async with transaction(work.ledger.sessions) as session:
        await work.locked(session)
        await store_outputs(
            session,
            work.owner,
            dataset_id=dataset_id,
            agent_id=None if work.target.agent is None else UUID(work.target.agent),
            points=points,
            values={
                "name": f"Outputs of {model}"[:255],
                "description": f"Made by the inference job {work.job.id}.",
                "details": {"job": str(work.job.id), "source_dataset": work.target.dataset},
                "origin": DatasetOrigin.PRODUCTION.value,
                "generator_model": model[:128],
            },
        )


def _report(work: Work, model: str, answers: Sequence[Answer], result: dict[str, Any]) -> str:
    lines = [
        f"# Inference: {work.target.agent_name or model}",
        "",
        f"**{result['succeeded']} of {result['total']} inputs were answered** by {cell(model)}, in "
        f"{result['avg_latency_ms']:.0f} ms on average. Spent: {spent(work)}.",
        "",
        f"The answers are in the dataset `{result['dataset']}`.",
    ]
    if result["errors"]:
        lines += ["", f"## What failed (the first {len(result['errors'])})", ""]
        lines += [f"- {cell(error)}" for error in result["errors"]]
    sample = next((place for place, answer in enumerate(answers) if answer.ok), None)
    if sample is not None:
        lines += ["", "## An example", "", *fenced(work.target.cases[sample].text[:1000]), ""]
        lines += fenced(answers[sample].text[:1000])
    return "\n".join([*lines, ""])
