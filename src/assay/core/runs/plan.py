"""Everything that carrying out a run needs, loaded once per activity and never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.files.store import FileStore
from assay.core.projects.types import Principal, Role, Scope
from assay.core.runs import repository
from assay.core.runs.errors import RunNotFoundError, RunStoppedError
from assay.core.runs.ledger import Execution
from assay.core.runs.types import RunConfig, RunStatus
from assay.core.suites.compile import CompiledTask, compile_manifest
from assay.core.suites.manifest import parse_manifest
from assay.core.suites.manifest.schema import GraderExecution
from assay.core.suites.sources import check_sources
from assay.gateway.generation import Generation, resolve_generation


@dataclass(frozen=True, slots=True)
class RunPlan:
    """A run, ready to be carried out."""

    execution: Execution
    project_id: UUID
    owner: Principal
    """Whoever made the run: its files are read with their eyes."""
    config: RunConfig
    generation: Generation
    models: tuple[str, ...]
    tasks: tuple[CompiledTask, ...]
    """In the run's order: a sample's ``task_no`` is an index into it."""
    metadata: Mapping[str, str]

    @property
    def run_id(self) -> UUID:
        """Which run."""
        return self.execution.run_id

    @property
    def score_groups(self) -> list[tuple[int, int]]:
        """(task, model) ordinals whose samples are scored together, after all answers are there."""
        return [
            (task_no, model_no)
            for task_no, task in enumerate(self.tasks)
            if task.embedding is not None
            or (task.grader is not None and task.grader.execution is GraderExecution.AGGREGATE)
            for model_no in range(len(self.models))
        ]


async def load_plan(session: AsyncSession, store: FileStore, execution: Execution) -> RunPlan:
    """Load a run for a worker.

    Datasets are not looked for: once a run is laid out it no longer needs them, so they may be deleted meanwhile.

    Raises:
        RunNotFoundError: It does not exist.
        RunStoppedError: It has gone on to another execution.
        ManifestError: A Python file that its suite names has gone since.
    """
    found = await repository.find_run_for_work(session, execution.run_id)
    if found is None:
        raise RunNotFoundError(f"Run {execution.run_id} does not exist.")
    if found.run.execution != execution.number:
        raise RunStoppedError(RunStatus(found.run.status))
    owner = Principal(
        organization_id=found.organization_id,
        project_id=found.run.project_id,
        user_id=found.run.created_by,
        role=Role.OWNER,
        scopes=frozenset({Scope.ALL}),
        key_id=None,
        on_behalf_of=found.run.on_behalf_of,
    )
    manifest = parse_manifest(found.manifest)
    sources = await check_sources(session, owner, store, manifest, datasets=False)
    compiled = {task.id: task for task in compile_manifest(manifest, sources=sources)}
    config = repository.to_config(found.run)
    return RunPlan(
        execution=execution,
        project_id=found.run.project_id,
        owner=owner,
        config=config,
        generation=resolve_generation(config.generation),
        models=tuple(config.models),
        tasks=tuple(compiled[task_id] for task_id in found.run.task_order),
        metadata=found.run.labels,
    )
