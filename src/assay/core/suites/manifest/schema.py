"""The manifest's shape, field by field (schema version ``2026-05-27``).

    Manifest
    └── tasks: Task
        ├── dataset: Dataset
        ├── preprocess: Preprocessor
        ├── fewshot: Fewshot ── dataset: Dataset
        ├── output_extraction: OutputExtraction
        ├── grader: Grader
        ├── metrics: Metric
        └── embedding: EmbeddingConfig ── four auxiliary Datasets

These classes hold types and bounds of single fields. What spans fields is in ``rules``; what cannot be run is
in ``support``. Scalars are strict (``"5"`` is not 5, ``1`` is not true), unknown fields are refused, and a null
stands for an absent field. What a user sent is stored as sent: defaults live here and in the ``effective_`` properties
only.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictInt,
    Tag,
    model_validator,
)

from assay.core.datasets.types import DatasetFormat

SCHEMA_VERSION = "2026-05-27"
_MAX_GROUP_NAME = 255

Name = Annotated[str, Field(min_length=1, max_length=255)]
Column = Annotated[str, Field(min_length=1, max_length=255)]
Identifier = Annotated[str, Field(min_length=1, max_length=255)]
MetricId = Annotated[str, Field(min_length=1, max_length=128)]
Seed = Annotated[StrictInt, Field(ge=-(2**63), le=2**63 - 1)]
FewshotCount = Annotated[StrictInt, Field(ge=0, le=100)]
TimeoutSeconds = Annotated[StrictInt, Field(ge=1, le=600)]
StrictNumber = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Criteria = Annotated[str, Field(min_length=1, max_length=100_000)]
Choice = Annotated[str, Field(min_length=1, max_length=10_000)]


def _at_most(count: int) -> BeforeValidator:
    """Refuse a longer list before its entries are looked at: a fault for each of a million would take seconds."""

    def check(value: object) -> object:
        if (length := _list_length(value)) > count:
            raise ValueError(f"has {length} entries; at most {count} allowed")
        return value

    return BeforeValidator(check)


def _grader_type(grader: Any) -> str:
    """The published manifest has Python graders only, and lets their type be left out."""
    type_ = cast("dict[str, Any]", grader).get("type") if isinstance(grader, dict) else getattr(grader, "type", None)
    return "python" if type_ is None else str(type_)


def _list_length(value: object) -> int:
    return len(cast("list[object]", value)) if isinstance(value, list) else 0


class TaskType(StrEnum):
    """What a task asks for. Transcription and embedding change what is executed; the others only how it is scored."""

    CLASSIFICATION = "classification"
    MULTIPLE_CHOICE = "multiple_choice"
    QA = "qa"
    SUMMARIZATION = "summarization"
    SEMANTIC_SIMILARITY = "semantic_similarity"
    LLM_JUDGE = "llm_judge"
    NUMERIC = "numeric"
    MATH = "math"
    CUSTOM = "custom"
    TRANSCRIPTION = "transcription"
    EMBEDDING = "embedding"


class DatasetSource(StrEnum):
    """Where rows come from."""

    FILE = "file"
    HUGGINGFACE = "huggingface"
    DATASET = "dataset"


class FewshotStrategy(StrEnum):
    """Which pool rows become examples."""

    FIRST = "first"
    RANDOM = "random"


class GraderContract(StrEnum):
    """What a grader promises; it sets the defaults of ``execution`` and ``model_access``."""

    SAMPLE = "sample"
    BATCH = "batch"
    MODEL_BACKED = "model_backed"


class GraderExecution(StrEnum):
    """Which entry point runs: ``grade`` once per sample, or ``grade_batch`` once per task."""

    PER_SAMPLE = "per_sample"
    AGGREGATE = "aggregate"


class ModelAccess(StrEnum):
    """Whether ``ctx`` may call models."""

    NONE = "none"
    MKA1 = "mka1"


class PreprocessContract(StrEnum):
    """``transform(row)`` for each row, or ``transform_batch(rows)`` once."""

    ROW = "row"
    BATCH = "batch"


class Aggregation(StrEnum):
    """How a metric is summed up over samples; ``none`` keeps it out of the aggregates."""

    MEAN = "mean"
    NONE = "none"


class EmbeddingKind(StrEnum):
    """The protocol that scores vectors."""

    STS = "sts"
    CLASSIFICATION = "classification"
    MULTILABEL_CLASSIFICATION = "multilabel_classification"
    RETRIEVAL = "retrieval"
    RERANKING = "reranking"


class Part(BaseModel):
    """Base of every part of the manifest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        sent = cast("dict[Any, Any]", data)
        return {key: value for key, value in sent.items() if value is not None or key not in cls.model_fields}


def _check_data_files(value: object) -> object:
    """A path, a list of paths, or a map of split to either."""
    if not (_is_path_or_paths(value) or _is_map_to_paths(value)):
        raise ValueError("must be a path, a list of paths, or an object of split to path or list of paths")
    return value


def _is_map_to_paths(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_path_or_paths, cast("dict[str, object]", value).values()))


def _is_path_or_paths(value: object) -> bool:
    return isinstance(value, str) or (
        isinstance(value, list) and all(isinstance(path, str) for path in cast("list[object]", value))
    )


class Dataset(Part):
    """The rows of a task: an uploaded file, the items of a stored dataset, or a Hugging Face dataset."""

    source: DatasetSource | None = None
    """Inferred from ``file_id``, ``dataset_id`` or ``path``."""
    file_id: Identifier | None = None
    dataset_id: Identifier | None = None
    format: DatasetFormat | None = None
    """Of the file; inferred from its name."""
    path: Identifier | None = None
    """Of a Hugging Face dataset."""
    name: Identifier | None = None
    """Its configuration."""
    split: Identifier | None = None
    revision: Identifier | None = None
    data_files: Annotated[Any, AfterValidator(_check_data_files)] = None
    dataset_kwargs: dict[str, Any] | None = None
    """Kept and shown, never interpreted."""
    max_rows: Annotated[StrictInt, Field(ge=1, le=1_000_000)] | None = None
    """Rows beyond it are not read."""
    audio_column: Column | None = None

    def has_rows_of(self, other: Dataset) -> bool:
        """Whether both name the same file, stored dataset, or part of a Hugging Face dataset."""
        names = ("file_id", "dataset_id", "path", "name", "split", "revision", "data_files")
        mine = [getattr(self, name) for name in names]
        return any(mine) and mine == [getattr(other, name) for name in names]

    @property
    def effective_source(self) -> DatasetSource:
        """The source given, or the one that ``file_id``, ``dataset_id`` or ``path`` implies."""
        if self.source is not None:
            return self.source
        if self.dataset_id is not None:
            return DatasetSource.DATASET
        return DatasetSource.FILE if self.path is None else DatasetSource.HUGGINGFACE


class NoExtraction(Part):
    """The output as it is."""

    type: Literal["none"]


class TakeFirst(Part):
    """The first lines."""

    type: Literal["take_first"]
    lines: Annotated[StrictInt, Field(ge=1, le=10_000)] = 1


def _check_group(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("must be a group's number or its name")
    if isinstance(value, str) and len(value) > _MAX_GROUP_NAME:
        raise ValueError(f"must have at most {_MAX_GROUP_NAME} characters")
    return value


class RegexExtraction(Part):
    """A group of the first or the last match."""

    type: Literal["regex", "regex_last"]
    pattern: Annotated[str, Field(min_length=1)]
    group: Annotated[Any, AfterValidator(_check_group)] = None
    """Number or name; 1 if the pattern has groups, else 0."""
    flags: str | None = None
    """Some of ``imsx``."""


class LabelSet(Part):
    """The label that the output names."""

    type: Literal["label_set"]
    labels: Annotated[tuple[Choice, ...], Field(min_length=1), _at_most(1000)]
    case_sensitive: StrictBool = False


class NumberExtraction(Part):
    """The last number in the output."""

    type: Literal["number"]


OutputExtraction = Annotated[
    NoExtraction | TakeFirst | RegexExtraction | LabelSet | NumberExtraction, Field(discriminator="type")
]


class Metric(Part):
    """A number that samples get, and how it is read."""

    id: MetricId
    aggregation: Aggregation = Aggregation.MEAN
    higher_is_better: StrictBool = True
    description: Annotated[str, Field(max_length=10_000)] | None = None


class PythonPart(Part):
    """User code, given in place or by the id of an uploaded file."""

    type: Literal["python"] = "python"
    source: Annotated[str, Field(min_length=1)] | None = None
    file_id: Identifier | None = None
    timeout_seconds: TimeoutSeconds = 120


class Grader(PythonPart):
    """User code that scores."""

    contract: GraderContract = GraderContract.SAMPLE
    execution: GraderExecution | None = None
    model_access: ModelAccess | None = None
    metric_id: MetricId = "score"
    """The key of a score that comes back as a bare number."""
    max_model_calls: Annotated[StrictInt, Field(ge=0, le=500)] = 64
    """Per execution."""

    @property
    def effective_model_access(self) -> ModelAccess:
        """The access given, or what the contract implies."""
        if self.model_access is not None:
            return self.model_access
        return ModelAccess.MKA1 if self.contract is GraderContract.MODEL_BACKED else ModelAccess.NONE


class JudgeOption(Part):
    """A category that a judge may choose."""

    key: MetricId
    label: Annotated[str, Field(max_length=1000)] = ""
    score: StrictNumber | None = None


class BooleanOutput(Part):
    """Pass or fail."""

    type: Literal["boolean"]


class NumericOutput(Part):
    """A number."""

    type: Literal["numeric"]
    min: StrictNumber | None = None
    max: StrictNumber | None = None
    step: StrictNumber | None = None


class CategoricalOutput(Part):
    """One option, or several."""

    type: Literal["categorical"]
    options: Annotated[tuple[JudgeOption, ...], Field(min_length=1), _at_most(100)]
    selection_mode: Literal["single", "multiple"] = "single"


JudgeOutput = Annotated[BooleanOutput | NumericOutput | CategoricalOutput, Field(discriminator="type")]


class JudgeChecklistItem(Part):
    """A criterion that is met or not."""

    id: MetricId
    criteria: Criteria
    weight: Annotated[StrictNumber, Field(ge=0)] = 1.0
    gate: StrictBool = False


class JudgePair(Part):
    """A comparison of the answer with the target, in both orders."""

    allows_tie: StrictBool = True


class JudgeGrader(Part):
    """A model that scores: our own kind of grader, beyond the published manifest."""

    type: Literal["judge"]
    criteria: Criteria | None = None
    """Required but for a checklist."""
    output: JudgeOutput | None = None
    """How a rubric is answered; pass or fail by default."""
    checklist: Annotated[tuple[JudgeChecklistItem, ...], Field(min_length=1), _at_most(50)] | None = None
    pairwise: JudgePair | None = None
    allows_na: StrictBool = False
    reference: StrictBool | None = None
    """Whether the judge sees the target: always (rows without one are unscored), never, or where there is one."""
    context_template: Annotated[str, Field(min_length=1, max_length=100_000)] | None = None
    """Rendered from the row, and shown to the judge as well."""
    models: Annotated[tuple[Identifier, ...], Field(min_length=1), _at_most(10)] = ("auto",)
    """One judge, or a panel; ``auto`` is the run's judge model."""
    repeats: Annotated[StrictInt, Field(ge=1, le=25)] = 1
    generation: dict[str, Any] | None = None
    """Settings of the judge's requests, as of a run's."""
    metric_id: MetricId = "score"


class Preprocessor(PythonPart):
    """User code that changes rows before prompts are rendered."""

    contract: PreprocessContract = PreprocessContract.ROW


AnyGrader = Annotated[
    Annotated[Grader, Tag("python")] | Annotated[JudgeGrader, Tag("judge")], Discriminator(_grader_type)
]


class Fewshot(Part):
    """Examples put before the prompt."""

    count: FewshotCount = 0
    dataset: Dataset | None = None
    """The pool of examples; the task's own dataset by default."""
    prompt_template: str | None = None
    target_template: str | None = None
    example_template: str = "{{prompt}}\n{{target}}"
    separator: Annotated[str, Field(max_length=1000)] = "\n\n"
    strategy: FewshotStrategy = FewshotStrategy.FIRST
    seed: Seed = 0


class EmbeddingConfig(Part):
    """Which columns hold texts and labels, and how vectors are scored."""

    kind: EmbeddingKind
    text_column: Column = "text"
    text1_column: Column = "sentence1"
    text2_column: Column = "sentence2"
    score_column: Column = "score"
    label_column: Column = "label"
    id_column: Column = "_id"
    title_column: Column = "title"
    query_id_column: Column = "query-id"
    corpus_id_column: Column = "corpus-id"
    corpus_ids_column: Column = "corpus-ids"
    train_dataset: Dataset | None = None
    corpus_dataset: Dataset | None = None
    qrels_dataset: Dataset | None = None
    top_ranked_dataset: Dataset | None = None
    samples_per_label: Annotated[StrictInt, Field(ge=1, le=10_000)] = 8
    n_experiments: Annotated[StrictInt, Field(ge=1, le=1000)] = 10
    seed: Seed = 42
    k_values: (
        Annotated[tuple[Annotated[StrictInt, Field(ge=1, le=100_000)], ...], Field(min_length=1), _at_most(100)] | None
    ) = None
    max_chars: Annotated[StrictInt, Field(ge=1, le=64_000)] = 60_000
    max_texts: Annotated[StrictInt, Field(ge=1, le=50_000)] = 50_000


class Task(Part):
    """One thing to ask of every row of a dataset."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$", max_length=255)]
    type: TaskType
    dataset: Dataset
    name: Name | None = None
    prompt_template: str | None = None
    target_template: str | None = None
    choices: Annotated[tuple[Choice, ...], Field(min_length=1), _at_most(1000)] | None = None
    output_extraction: OutputExtraction | None = None
    metrics: Annotated[tuple[Metric, ...], _at_most(100)] | None = None
    grader: AnyGrader | None = None
    embedding: EmbeddingConfig | None = None
    preprocess: Preprocessor | None = None
    fewshot: Fewshot | None = None
    num_fewshot: FewshotCount | None = None
    language: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    metadata: dict[str, Any] | None = None

    @property
    def python_grader(self) -> Grader | None:
        """The grader, if it is user code."""
        return self.grader if isinstance(self.grader, Grader) else None

    @property
    def judge(self) -> JudgeGrader | None:
        """The grader, if it is a model."""
        return self.grader if isinstance(self.grader, JudgeGrader) else None

    @property
    def effective_fewshot_count(self) -> int:
        """``fewshot.count`` if above 0, else ``num_fewshot``: clients send a count of 0 that nobody chose."""
        count = 0 if self.fewshot is None else self.fewshot.count
        return count or self.num_fewshot or 0


class Manifest(Part):
    """Everything a suite's version consists of."""

    tasks: Annotated[tuple[Task, ...], Field(min_length=1), _at_most(100)]
    schema_version: Annotated[str, Field(max_length=64)] = SCHEMA_VERSION
    metadata: dict[str, Any] | None = None

    @property
    def dataset_file_ids(self) -> tuple[str, ...]:
        """Ids of the files that hold rows, in manifest order, each once."""
        datasets = (dataset for task in self.tasks for dataset in task_datasets(task).values())
        return tuple(dict.fromkeys(dataset.file_id for dataset in datasets if dataset.file_id is not None))

    @property
    def code_file_ids(self) -> tuple[str, ...]:
        """Ids of the files that hold graders and preprocessors, in manifest order, each once."""
        parts = (part for task in self.tasks for part in (task.preprocess, task.python_grader) if part is not None)
        return tuple(dict.fromkeys(part.file_id for part in parts if part.file_id is not None))


def task_datasets(task: Task) -> dict[str, Dataset]:
    """Every dataset of a task, by its path inside the task (``fewshot.dataset``)."""
    found: dict[str, Dataset | None] = {"dataset": task.dataset}
    if task.fewshot is not None:
        found["fewshot.dataset"] = task.fewshot.dataset
    if task.embedding is not None:
        for name in ("train_dataset", "corpus_dataset", "qrels_dataset", "top_ranked_dataset"):
            found[f"embedding.{name}"] = getattr(task.embedding, name)
    return {path: dataset for path, dataset in found.items() if dataset is not None}
