"""Rules of the manifest that span fields.

Each rule yields a fault for every place that breaks it, so that a user sees all of them at once. What needs a file, a
model or a run is checked where that is at hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from assay.core.datasets.hub.names import data_file_patterns, pattern_fault, repository_fault, revision_fault
from assay.core.suites.manifest.errors import Fault
from assay.core.suites.manifest.judges import judge_faults
from assay.core.suites.manifest.schema import (
    SCHEMA_VERSION,
    Dataset,
    DatasetSource,
    EmbeddingConfig,
    EmbeddingKind,
    Grader,
    GraderContract,
    Manifest,
    ModelAccess,
    PythonPart,
    Task,
    TaskType,
    task_datasets,
)
from assay.core.suites.manifest.syntax import syntax_faults
from assay.kit.json import canonical_bytes

MAX_DATA_FILES = 1000
MAX_METADATA_PAIRS = 16
MAX_METADATA_KEY = 64
MAX_METADATA_VALUE = 512

_SOURCES = {DatasetSource.FILE: "file_id", DatasetSource.HUGGINGFACE: "path", DatasetSource.DATASET: "dataset_id"}
_NEEDS_GRADER = frozenset({TaskType.LLM_JUDGE, TaskType.CUSTOM})
_NO_EMBEDDING_USE = (
    "prompt_template", "target_template", "choices", "output_extraction", "grader", "fewshot", "num_fewshot",
)  # fmt: skip
_AUXILIARY_DATASETS = ("train_dataset", "corpus_dataset", "qrels_dataset", "top_ranked_dataset")
_NEEDED_DATASETS: Mapping[EmbeddingKind, tuple[str, ...]] = {
    EmbeddingKind.STS: (),
    EmbeddingKind.CLASSIFICATION: ("train_dataset",),
    EmbeddingKind.MULTILABEL_CLASSIFICATION: ("train_dataset",),
    EmbeddingKind.RETRIEVAL: ("corpus_dataset", "qrels_dataset"),
    EmbeddingKind.RERANKING: ("corpus_dataset", "qrels_dataset", "top_ranked_dataset"),
}
_HUGGINGFACE_ONLY = ("name", "split", "revision", "data_files")


def rule_faults(manifest: Manifest) -> Iterator[Fault]:
    """Every broken rule of a manifest that fits the schema, in document order of tasks."""
    if manifest.schema_version != SCHEMA_VERSION:
        yield Fault("schema_version", f"'{manifest.schema_version}' is not known; use '{SCHEMA_VERSION}'")
    yield from metadata_faults(manifest.metadata, path="metadata")
    yield from _repeated((task.id for task in manifest.tasks), path="tasks[{}].id", what="task id")
    for index, task in enumerate(manifest.tasks):
        for path, reason in _task_faults(task):
            yield Fault(f"tasks[{index}].{path}", reason)


def metadata_faults(metadata: dict[str, Any] | None, *, path: str) -> Iterator[Fault]:
    """Bounds on free-form metadata: those of the Responses API, with a value that is no string measured as JSON."""
    if metadata is None:
        return
    if len(metadata) > MAX_METADATA_PAIRS:
        yield Fault(path, f"{len(metadata)} pairs exceed {MAX_METADATA_PAIRS}; remove some")
    for key, value in metadata.items():
        if len(key) > MAX_METADATA_KEY:
            yield Fault(path, f"the key '{key[:16]}…' has {len(key)} characters; at most {MAX_METADATA_KEY} are kept")
        size = len(value) if isinstance(value, str) else len(canonical_bytes(value).decode())
        if size > MAX_METADATA_VALUE:
            yield Fault(
                path,
                f"the value of '{key[:MAX_METADATA_KEY]}' has {size} characters; at most {MAX_METADATA_VALUE} are kept",
            )


def _task_faults(task: Task) -> Iterator[Fault]:
    yield from _type_faults(task)
    for path, dataset in task_datasets(task).items():
        yield from _under(path, _dataset_faults(dataset))
    yield from _choice_faults(task)
    yield from _fewshot_faults(task)
    if task.metrics is not None:
        yield from _repeated((metric.id for metric in task.metrics), path="metrics[{}].id", what="metric id")
    if task.preprocess is not None:
        yield from _under("preprocess", _code_faults(task.preprocess))
    if task.python_grader is not None:
        yield from _under("grader", _grader_faults(task.python_grader))
    if task.judge is not None:
        yield from _under("grader", judge_faults(task.judge))
    yield from metadata_faults(task.metadata, path="metadata")
    yield from syntax_faults(task)


def _embedding_faults(task: Task, config: EmbeddingConfig) -> Iterator[Fault]:
    for name in _NO_EMBEDDING_USE:
        if getattr(task, name):
            yield Fault(name, "has no effect on an embedding task, whose kind says how it is scored; remove it")
    needed = _NEEDED_DATASETS[config.kind]
    for name in _AUXILIARY_DATASETS:
        if name in needed and getattr(config, name) is None:
            yield Fault(f"embedding.{name}", f"is required by the kind '{config.kind}'")
        elif name not in needed and getattr(config, name) is not None:
            yield Fault(f"embedding.{name}", f"is not used by the kind '{config.kind}'; remove it")


def _under(path: str, faults: Iterable[Fault]) -> Iterator[Fault]:
    for fault in faults:
        yield Fault(f"{path}.{fault.path}" if fault.path else path, fault.reason)


def _repeated(values: Iterable[str], *, path: str, what: str) -> Iterator[Fault]:
    first_seen: dict[str, int] = {}
    for index, value in enumerate(values):
        first = first_seen.setdefault(value, index)
        if first != index:
            yield Fault(path.format(index), f"'{value[:64]}' repeats the {what} of entry {first}; make it unique")


def _type_faults(task: Task) -> Iterator[Fault]:
    if task.type in _NEEDS_GRADER and task.grader is None:
        yield Fault("grader", f"is required: nothing built in scores tasks of type {task.type}; add a grader")
    if task.type is TaskType.EMBEDDING:
        if task.embedding is None:
            yield Fault("embedding", "is required by an embedding task; give at least its kind")
        else:
            yield from _embedding_faults(task, task.embedding)
    elif task.embedding is not None:
        yield Fault("embedding", f"is used by embedding tasks only; remove it or change the type '{task.type}'")
    if task.type is TaskType.TRANSCRIPTION:
        if task.dataset.audio_column is None:
            yield Fault("dataset.audio_column", "is required by a transcription task; name the column of the audio")
        return
    if task.language is not None:
        yield Fault("language", f"is used by transcription tasks only; remove it or change the type '{task.type}'")
    for path, dataset in task_datasets(task).items():
        if dataset.audio_column is not None:
            yield Fault(f"{path}.audio_column", "is used by transcription tasks only; remove it")


def _dataset_faults(dataset: Dataset) -> Iterator[Fault]:
    given = [name for name in _SOURCES.values() if getattr(dataset, name) is not None]
    if len(given) != 1:
        fix = "give file_id (an uploaded file), dataset_id (a stored dataset) or path (a Hugging Face dataset)"
        found = f"has both {given[0]} and {given[1]}" if given else "has neither file_id nor path"
        yield Fault("", f"{found}; {fix}")
        return
    if dataset.source is not None and _SOURCES[dataset.source] != given[0]:
        yield Fault(
            _SOURCES[dataset.source], f"is required by source '{dataset.source}'; give it instead of {given[0]}"
        )
    if dataset.path is None:
        for name in _HUGGINGFACE_ONLY:
            if getattr(dataset, name) is not None:
                yield Fault(name, "is used by Hugging Face datasets only; remove it")
    else:
        yield from _hub_faults(dataset, dataset.path)
    if dataset.file_id is None and dataset.format is not None:
        yield Fault("format", "is used by uploaded files only; remove it")


def _hub_faults(dataset: Dataset, path: str) -> Iterator[Fault]:
    if (reason := repository_fault(path)) is not None:
        yield Fault("path", reason)
    if dataset.revision is not None and (reason := revision_fault(dataset.revision)) is not None:
        yield Fault("revision", reason)
    patterns = data_file_patterns(dataset.data_files)
    if len(patterns) > MAX_DATA_FILES:
        yield Fault("data_files", f"has {len(patterns):,} entries; at most {MAX_DATA_FILES} are allowed")
        return
    for pattern in patterns:
        if (reason := pattern_fault(pattern)) is not None:
            yield Fault("data_files", f"'{pattern[:80]}' {reason}")


def _choice_faults(task: Task) -> Iterator[Fault]:
    if task.choices is not None:
        yield from _repeated((choice.strip() for choice in task.choices), path="choices[{}]", what="choice")
        if task.type is TaskType.MULTIPLE_CHOICE and len(task.choices) < 2:
            yield Fault("choices", "needs at least two entries in a multiple_choice task")
        yield from (
            Fault(f"choices[{index}]", "is blank; remove it")
            for index, choice in enumerate(task.choices)
            if not choice.strip()
        )


def _fewshot_faults(task: Task) -> Iterator[Fault]:
    count = 0 if task.fewshot is None else task.fewshot.count
    if count and task.num_fewshot and count != task.num_fewshot:
        yield Fault("num_fewshot", f"is {task.num_fewshot} while fewshot.count is {count}; give one of them")
    pool = None if task.fewshot is None else task.fewshot.dataset
    if pool is not None and pool.has_rows_of(task.dataset):
        for name in ("format", "max_rows"):
            if getattr(pool, name) != getattr(task.dataset, name):
                yield Fault(
                    f"fewshot.dataset.{name}",
                    "differs from the task's own while the file is the same; leave fewshot.dataset out, or upload the "
                    "examples as a file of their own",
                )


def _code_faults(code: PythonPart) -> Iterator[Fault]:
    if code.source is None and code.file_id is None:
        yield Fault("source", "is required: give source (the code) or file_id (an uploaded Python file)")
    elif code.source is not None and code.file_id is not None:
        yield Fault("source", "is given together with file_id; remove one of them")


def _grader_faults(grader: Grader) -> Iterator[Fault]:
    yield from _code_faults(grader)
    if grader.contract is GraderContract.MODEL_BACKED and grader.effective_model_access is ModelAccess.NONE:
        yield Fault(
            "model_access", "is 'none' while the contract is 'model_backed'; remove it, or use contract sample or batch"
        )
