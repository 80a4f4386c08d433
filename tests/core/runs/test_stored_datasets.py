"""Tasks over stored datasets: production examples as regression tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from tests.support.evals import Evals, working

from assay.core.datasets import service as datasets
from assay.core.projects.service import create_organization, get_operator
from assay.core.projects.types import Principal
from assay.core.runs.ledger import Execution
from assay.core.runs.prepare import prepare_run
from assay.core.runs.types import RunStatus
from assay.core.suites.manifest import ManifestError
from assay.core.suites.service import create_suite
from assay.core.suites.types import NewSuite
from assay.db.session import transaction
from assay.kit.errors import DomainError
from assay.sandbox.contract import Sandbox
from assay.sandbox.monty import MontySandbox

PROMPT = "{{input.question}} answer={{input.reply}} of {{ref_trace_id}} at {{ref_timestamp}} by {{ref_source_id}}"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with MontySandbox() as started:
        yield started


async def make_dataset(evals: Evals, *items: dict[str, Any], principal: Principal | None = None) -> UUID:
    """A dataset with items, in this order."""
    owner = principal or evals.principal
    async with transaction(evals.runtime.sessions) as session:
        dataset = await datasets.create_dataset(session, owner, {"name": "examples"})
    for item in items:
        async with transaction(evals.runtime.sessions) as session:
            await datasets.create_item(session, owner, {"dataset_id": dataset.id, **item})
    return dataset.id


def example(number: int, *, expected: str | None = None) -> dict[str, Any]:
    return {
        "input": {"question": f"q{number}", "reply": f"a{number}"},
        "expected": f"a{number}" if expected is None else expected,
        "source_trace_id": f"trace-{number}",
        "source_timestamp": datetime(2026, 3, 1, 12, number, tzinfo=UTC),
        "source_event_id": f"event-{number}",
    }


async def make_suite(evals: Evals, dataset: dict[str, Any], **task: Any) -> UUID:
    manifest = {"tasks": [{"id": "t", "type": "qa", "dataset": dataset, "prompt_template": PROMPT, **task}]}
    async with transaction(evals.runtime.sessions) as session:
        new = NewSuite(name="regressions", manifest=manifest)
        return (await create_suite(session, evals.principal, store=evals.runtime.files, new=new)).id


async def change_item(evals: Evals, dataset_id: UUID, position: int, **values: Any) -> None:
    async with transaction(evals.runtime.sessions) as session:
        part = await datasets.read_examples(session, evals.principal, dataset_id, limit=100)
        row = await datasets.find_item(session, evals.principal, UUID(part[position]["item_id"]), lock=True)
        await datasets.update_item(session, evals.principal, row, values)


async def prompts(evals: Evals, run_id: UUID) -> list[str]:
    query = text("SELECT prompt FROM run_items WHERE run_id = :id ORDER BY sample_index")
    async with evals.runtime.sessions() as session:
        return list(await session.scalars(query, {"id": run_id}))


async def prepare(evals: Evals, run_id: UUID, sandbox: Sandbox) -> None:
    execution = Execution(run_id, 1)
    await prepare_run(
        evals.runtime.sessions, store=evals.runtime.files, sandbox=sandbox, hub=evals.hub, execution=execution
    )


async def test_a_run_over_production_examples(evals: Evals) -> None:
    dataset_id = await make_dataset(evals, example(0), example(1, expected="wrong"), example(2))
    await change_item(evals, dataset_id, 2, deleted=True)
    suite_id = await make_suite(evals, {"dataset_id": str(dataset_id)})

    async with working(evals):
        run = await evals.finished(suite_id)

    assert (run.status, run.total) == (RunStatus.COMPLETED, 2)
    samples = await evals.samples(run.id)
    assert [(sample.output_text, sample.target, sample.scores) for sample in samples] == [
        ("a0", "a0", {"exact_match": 1.0, "f1": 1.0}),
        ("a1", "wrong", {"exact_match": 0.0, "f1": 0.0}),
    ]
    assert (await prompts(evals, run.id))[0] == ("q0 answer=a0 of trace-0 at 2026-03-01T12:00:00+00:00 by event-0")


async def test_a_run_has_the_items_of_its_preparation(evals: Evals, sandbox: Sandbox) -> None:
    dataset_id = await make_dataset(evals, example(0), example(1))
    suite_id = await make_suite(evals, {"dataset_id": dataset_id.hex}, prompt_template="{{input.question}}")
    run_id = await evals.start(suite_id)
    await change_item(evals, dataset_id, 0, input={"question": "before"})

    await prepare(evals, run_id, sandbox)
    await change_item(evals, dataset_id, 0, input={"question": "after"})
    await change_item(evals, dataset_id, 1, deleted=True)
    await prepare(evals, run_id, sandbox)

    assert await prompts(evals, run_id) == ["before", "q1"]


@pytest.mark.parametrize(("dataset", "config"), [({"max_rows": 2}, {}), ({}, {"max_samples_per_task": 2})])
async def test_rows_are_bounded(
    evals: Evals, sandbox: Sandbox, dataset: dict[str, Any], config: dict[str, Any]
) -> None:
    dataset_id = await make_dataset(evals, *map(example, range(4)))
    suite_id = await make_suite(evals, {"dataset_id": str(dataset_id), **dataset}, prompt_template="{{output}}")
    run_id = await evals.start(suite_id, **config)

    await prepare(evals, run_id, sandbox)

    assert await prompts(evals, run_id) == ["a0", "a1"]


async def test_examples_from_another_dataset(evals: Evals, sandbox: Sandbox) -> None:
    asked = await make_dataset(evals, example(0))
    shown = await make_dataset(evals, example(7))
    fewshot = {"count": 1, "dataset": {"dataset_id": str(shown)}, "separator": "|"}
    suite_id = await make_suite(
        evals, {"dataset_id": str(asked)}, fewshot=fewshot, prompt_template="{{input.question}}"
    )
    run_id = await evals.start(suite_id)

    await prepare(evals, run_id, sandbox)

    assert await prompts(evals, run_id) == ["q7\na7|q0"]


@pytest.mark.parametrize("how", ["deleted", "foreign", "nonsense"])
async def test_datasets_that_are_not_there_are_refused_with_their_path(evals: Evals, how: str) -> None:
    principal = None
    if how == "foreign":
        async with transaction(evals.runtime.sessions) as session:
            other = await create_organization(session, name="Other")
            principal = await get_operator(session, project=other.project_id)
    dataset_id = await make_dataset(evals, example(0), principal=principal)
    if how == "deleted":
        await delete_dataset(evals, dataset_id)
    named = "nonsense" if how == "nonsense" else str(dataset_id)

    with pytest.raises(ManifestError, match=r"tasks\[0\]\.dataset\.dataset_id: no dataset"):
        await make_suite(evals, {"dataset_id": named})


@pytest.mark.parametrize("how", ["deleted", "emptied"])
async def test_datasets_that_go_before_the_run_fail_it(evals: Evals, sandbox: Sandbox, how: str) -> None:
    dataset_id = await make_dataset(evals, example(0))
    run_id = await evals.start(await make_suite(evals, {"dataset_id": str(dataset_id)}))
    if how == "deleted":
        await delete_dataset(evals, dataset_id)
    else:
        await change_item(evals, dataset_id, 0, deleted=True)

    with pytest.raises(DomainError, match=r"Task 't': .*(dataset_id.*deleted|no items)"):
        await prepare(evals, run_id, sandbox)


async def delete_dataset(evals: Evals, dataset_id: UUID) -> None:
    async with transaction(evals.runtime.sessions) as session:
        row = await datasets.find_dataset(session, evals.principal, dataset_id, lock=True)
        await datasets.update_dataset(session, row, {"deleted": True})
