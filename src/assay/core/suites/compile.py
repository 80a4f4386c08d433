"""A task made ready to run: everything parsed and resolved once, so that per sample only the work is left.

Task ──compile_task──> CompiledTask ──rendering.RowRenderer──> Rendered, once per sample
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from assay.core.suites.manifest.errors import Fault, ManifestError
from assay.core.suites.manifest.judges import JudgePlan, plan_judge
from assay.core.suites.manifest.schema import (
    Dataset,
    EmbeddingConfig,
    Fewshot,
    GraderExecution,
    Manifest,
    Metric,
    ModelAccess,
    PythonPart,
    Task,
    TaskType,
)
from assay.core.suites.manifest.syntax import extraction_spec, grader_program, preprocess_program
from assay.sandbox import EntryPoint, Program, SandboxCodeError
from assay.scoring.extraction import Extractor, build_extractor
from assay.scoring.fewshot import FewshotStrategy
from assay.scoring.scorers import scorer_for
from assay.scoring.scores import Scorer
from assay.scoring.similarity import SimilarityScorer
from assay.scoring.templates import Template


@dataclass(frozen=True, slots=True)
class GraderPlan:
    """User code that scores, and how it is called."""

    program: Program
    metric_id: str
    allows_models: bool
    max_model_calls: int
    """Per execution."""
    timeout_seconds: int
    """Per execution."""

    @property
    def execution(self) -> GraderExecution:
        """Once per sample, or once per task."""
        is_batch = self.program.entry_point is EntryPoint.GRADE_BATCH
        return GraderExecution.AGGREGATE if is_batch else GraderExecution.PER_SAMPLE


@dataclass(frozen=True, slots=True)
class PreprocessPlan:
    """User code that changes rows; its program's entry point says whether one by one or all at once."""

    program: Program
    timeout_seconds: int
    """Per execution."""


@dataclass(frozen=True, slots=True)
class FewshotPlan:
    """Which examples go before a prompt."""

    count: int
    """At least 1."""
    strategy: FewshotStrategy
    seed: int
    pool_dataset: Dataset | None
    """Where examples come from; None means the task's own rows, of which a sample's own is never its example."""
    prompt_template: Template | None
    target_template: Template | None
    example_template: Template
    separator: str


@dataclass(frozen=True, slots=True)
class CompiledTask:
    """A task with everything parsed.

    One of ``grader``, ``judge``, ``scorer``, ``similarity`` and ``embedding`` is set.
    """

    id: str
    type: TaskType
    dataset: Dataset
    prompt_template: Template | None
    target_template: Template | None
    choices: tuple[str, ...] | None
    extractor: Extractor
    scorer: Scorer | None
    grader: GraderPlan | None
    judge: JudgePlan | None
    preprocess: PreprocessPlan | None
    fewshot: FewshotPlan | None
    metrics: tuple[Metric, ...]
    """As stated; empty means every metric that scoring yields, by its mean."""
    similarity: SimilarityScorer | None = None
    """Of semantic_similarity tasks: compares vectors of the answers."""
    embedding: EmbeddingConfig | None = None
    """Of embedding tasks: their texts, and the protocol that scores the vectors."""
    language: str | None = None
    """Of transcription tasks: what is spoken."""


def compile_manifest(manifest: Manifest, *, sources: Mapping[str, str]) -> tuple[CompiledTask, ...]:
    """Compile every task of a manifest that ``parse_manifest`` and ``refuse_unsupported`` let pass.

    Args:
        manifest: The manifest.
        sources: Text of the Python files that it names, by file id.

    Raises:
        ManifestError: With the path of each program that cannot run (``tasks[3].grader.file_id``).
    """
    compiled: list[CompiledTask] = []
    faults: list[Fault] = []
    for index, task in enumerate(manifest.tasks):
        try:
            compiled.append(
                compile_task(
                    task,
                    grader_source=_file_source(task.python_grader, sources),
                    preprocess_source=_file_source(task.preprocess, sources),
                )
            )
        except ManifestError as exc:
            faults.extend(Fault(f"tasks[{index}].{fault.path}", fault.reason) for fault in exc.faults)
    if faults:
        raise ManifestError(faults)
    return tuple(compiled)


def compile_task(task: Task, *, grader_source: str | None = None, preprocess_source: str | None = None) -> CompiledTask:
    """Compile one task of a manifest that ``parse_manifest`` and ``refuse_unsupported`` let pass.

    Args:
        task: The task.
        grader_source: Text of the file ``grader.file_id``; None when there is none or the source is in the manifest.
        preprocess_source: Likewise of ``preprocess.file_id``.

    Raises:
        ManifestError: A program cannot run; paths begin inside the task (``grader.source``).
    """
    return CompiledTask(
        id=task.id,
        type=task.type,
        dataset=task.dataset,
        prompt_template=_parse_optional(task.prompt_template),
        target_template=_parse_optional(task.target_template),
        choices=task.choices,
        extractor=build_extractor(extraction_spec(task.output_extraction)),
        scorer=_scorer(task),
        grader=_plan_grader(task, grader_source),
        judge=None if task.judge is None else plan_judge(task.judge),
        preprocess=_plan_preprocess(task, preprocess_source),
        fewshot=_plan_fewshot(task),
        metrics=task.metrics or (),
        similarity=SimilarityScorer() if task.grader is None and task.type is TaskType.SEMANTIC_SIMILARITY else None,
        embedding=task.embedding,
        language=task.language,
    )


def _scorer(task: Task) -> Scorer | None:
    """What scores an answer by itself."""
    if task.grader is not None or task.type in (TaskType.SEMANTIC_SIMILARITY, TaskType.EMBEDDING):
        return None
    return scorer_for(task.type)


def _file_source(code: PythonPart | None, sources: Mapping[str, str]) -> str | None:
    return None if code is None or code.file_id is None else sources[code.file_id]


def _parse_optional(text: str | None) -> Template | None:
    return None if text is None else Template.parse(text)


def _source_of(code: PythonPart, file_source: str | None) -> tuple[str, str]:
    """The code's text, and the name of the field that gave it."""
    if code.source is not None:
        return code.source, "source"
    if file_source is None:
        raise ValueError(f"the text of file {code.file_id} was not handed over")
    return file_source, "file_id"


def _plan_grader(task: Task, file_source: str | None) -> GraderPlan | None:
    grader = task.python_grader
    if grader is None:
        return None
    source, field = _source_of(grader, file_source)
    try:
        program = grader_program(grader, source)
    except SandboxCodeError as exc:
        raise ManifestError([Fault(f"grader.{field}", exc.message)]) from exc
    return GraderPlan(
        program=program,
        metric_id=grader.metric_id,
        allows_models=grader.effective_model_access is ModelAccess.MKA1,
        max_model_calls=grader.max_model_calls,
        timeout_seconds=grader.timeout_seconds,
    )


def _plan_preprocess(task: Task, file_source: str | None) -> PreprocessPlan | None:
    preprocess = task.preprocess
    if preprocess is None:
        return None
    source, field = _source_of(preprocess, file_source)
    try:
        program = preprocess_program(preprocess, source)
    except SandboxCodeError as exc:
        raise ManifestError([Fault(f"preprocess.{field}", exc.message)]) from exc
    return PreprocessPlan(program, preprocess.timeout_seconds)


def _plan_fewshot(task: Task) -> FewshotPlan | None:
    count = task.effective_fewshot_count
    if count == 0:
        return None
    fewshot = task.fewshot or Fewshot()
    has_own_pool = fewshot.dataset is not None and not fewshot.dataset.has_rows_of(task.dataset)
    return FewshotPlan(
        count=count,
        strategy=FewshotStrategy(fewshot.strategy),
        seed=fewshot.seed,
        pool_dataset=fewshot.dataset if has_own_pool else None,
        prompt_template=_parse_optional(_first_given(fewshot.prompt_template, task.prompt_template)),
        target_template=_parse_optional(_first_given(fewshot.target_template, task.target_template)),
        example_template=Template.parse(fewshot.example_template),
        separator=fewshot.separator,
    )


def _first_given(own: str | None, fallback: str | None) -> str | None:
    return fallback if own is None else own
