"""The small languages inside a manifest: templates, extraction rules, programs, and names of metrics.

Each is read here by the code that will run it, so that what is accepted today cannot fail to parse in a run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from assay.core.suites.manifest.errors import Fault
from assay.core.suites.manifest.judges import judge_metric_faults
from assay.core.suites.manifest.schema import (
    EmbeddingConfig,
    EmbeddingKind,
    Grader,
    GraderContract,
    GraderExecution,
    LabelSet,
    NoExtraction,
    NumberExtraction,
    OutputExtraction,
    PreprocessContract,
    Preprocessor,
    RegexExtraction,
    TakeFirst,
    Task,
    TaskType,
)
from assay.sandbox import EntryPoint, Program, SandboxCodeError, check_program
from assay.scoring import extraction as rules
from assay.scoring.embedding.labels import CLASSIFICATION_METRICS, MULTILABEL_METRICS
from assay.scoring.embedding.ranking import K_VALUES, ranking_metrics
from assay.scoring.embedding.sts import STS_METRICS
from assay.scoring.errors import ExtractionSpecError, TemplateError, UnsupportedFamilyError
from assay.scoring.pooling import pooled_metric_ids
from assay.scoring.scorers import scorer_for
from assay.scoring.similarity import SimilarityScorer
from assay.scoring.templates import Template

_LABEL_METRICS = ("accuracy", "f1_macro", "f1_micro", "f1_weighted")
_WHOLE_TASK_METRICS = {TaskType.CLASSIFICATION: _LABEL_METRICS, TaskType.MULTIPLE_CHOICE: _LABEL_METRICS}
"""Metrics that no single sample has: they are made of all of them."""


def syntax_faults(task: Task) -> Iterator[Fault]:
    """What cannot be parsed in a task, by path inside the task."""
    for path, text in _templates(task).items():
        try:
            Template.parse(text)
        except TemplateError as exc:
            yield Fault(path, _as_reason(exc.message))
    if task.output_extraction is not None:
        try:
            rules.build_extractor(extraction_spec(task.output_extraction))
        except ExtractionSpecError as exc:
            place = "output_extraction" if exc.param is None else f"output_extraction.{exc.param}"
            yield Fault(place, _as_reason(exc.message))
    yield from _program_faults(task)
    yield from _metric_faults(task)


def extraction_spec(extraction: OutputExtraction | None) -> rules.ExtractionSpec:
    """An extraction rule as scoring knows it; without one, the output as it is."""
    match extraction:
        case None | NoExtraction():
            return rules.WholeOutput()
        case TakeFirst(lines=lines):
            return rules.TakeFirst(lines)
        case RegexExtraction(type=type_, pattern=pattern, group=group, flags=flags):
            return rules.Pattern(pattern, group, flags or "", last=type_ == "regex_last")
        case LabelSet(labels=labels, case_sensitive=case_sensitive):
            return rules.LabelSet(labels, case_sensitive)
        case NumberExtraction():
            return rules.LastNumber()


def grader_program(grader: Grader, source: str) -> Program:
    """A grader's code, checked for the entry point that its execution calls.

    ``execution`` wins over the contract's own. A model-backed grader may define either entry point; without an
    ``execution`` it is the one that is there, ``grade`` if both are.

    Raises:
        SandboxCodeError: The code cannot run in the sandbox.
    """
    if grader.execution is GraderExecution.PER_SAMPLE:
        return check_program(source, entry_point=EntryPoint.GRADE)
    if grader.execution is GraderExecution.AGGREGATE or grader.contract is GraderContract.BATCH:
        return check_program(source, entry_point=EntryPoint.GRADE_BATCH)
    try:
        return check_program(source, entry_point=EntryPoint.GRADE)
    except SandboxCodeError as exc:
        if grader.contract is GraderContract.MODEL_BACKED:
            with suppress(SandboxCodeError):
                return check_program(source, entry_point=EntryPoint.GRADE_BATCH)
        raise exc


def preprocess_program(preprocess: Preprocessor, source: str) -> Program:
    """A preprocessor's code, checked for the entry point of its contract.

    Raises:
        SandboxCodeError: The code cannot run in the sandbox.
    """
    is_batch = preprocess.contract is PreprocessContract.BATCH
    return check_program(source, entry_point=EntryPoint.TRANSFORM_BATCH if is_batch else EntryPoint.TRANSFORM)


def _program_faults(task: Task) -> Iterator[Fault]:
    """Faults of code that stands in the manifest; code in files is read when the files are."""
    if task.preprocess is not None and task.preprocess.source is not None:
        try:
            preprocess_program(task.preprocess, task.preprocess.source)
        except SandboxCodeError as exc:
            yield Fault("preprocess.source", exc.message)
    grader = task.python_grader
    if grader is not None and grader.source is not None:
        try:
            grader_program(grader, grader.source)
        except SandboxCodeError as exc:
            yield Fault("grader.source", exc.message)


def _templates(task: Task) -> dict[str, str]:
    found = {"prompt_template": task.prompt_template, "target_template": task.target_template}
    if task.fewshot is not None:
        for name in ("prompt_template", "target_template", "example_template"):
            found[f"fewshot.{name}"] = getattr(task.fewshot, name)
    if task.judge is not None:
        found["grader.context_template"] = task.judge.context_template
    return {path: text for path, text in found.items() if text is not None}


def _metric_faults(task: Task) -> Iterator[Fault]:
    """A metric that nothing can produce would be asked for and silently missing."""
    if task.python_grader is not None or not task.metrics:
        return
    if task.judge is not None:
        yield from judge_metric_faults(task.judge, [metric.id for metric in task.metrics])
        return
    known = _known_metrics(task)
    if known is None:
        return
    for index, metric in enumerate(task.metrics):
        if metric.id not in known:
            yield Fault(
                f"metrics[{index}].id",
                f"'{metric.id}' is not a metric of {task.type} tasks without a grader; "
                f"use one of {', '.join(known)}, or add a grader that returns it",
            )


def _known_metrics(task: Task) -> tuple[str, ...] | None:
    """Metrics of a task without a grader, of samples and of the whole; None when its type has no scoring of its own."""
    if task.type is TaskType.SEMANTIC_SIMILARITY:
        return SimilarityScorer().metric_ids
    if task.type is TaskType.EMBEDDING:
        return None if task.embedding is None else _protocol_metrics(task.embedding)
    try:
        scorer = scorer_for(task.type)
    except UnsupportedFamilyError:
        return None
    return (*scorer.metric_ids, *_WHOLE_TASK_METRICS.get(task.type, ()), *pooled_metric_ids(task.type))


def _protocol_metrics(config: EmbeddingConfig) -> tuple[str, ...]:
    match config.kind:
        case EmbeddingKind.STS:
            return STS_METRICS
        case EmbeddingKind.CLASSIFICATION:
            return (*CLASSIFICATION_METRICS, "ap")
        case EmbeddingKind.MULTILABEL_CLASSIFICATION:
            return MULTILABEL_METRICS
        case EmbeddingKind.RETRIEVAL | EmbeddingKind.RERANKING:
            return ranking_metrics(config.k_values or K_VALUES, whole=config.kind is EmbeddingKind.RERANKING)


def _as_reason(message: str) -> str:
    return message[:1].lower() + message[1:].removesuffix(".")
