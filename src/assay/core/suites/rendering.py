"""From rows to prompts and targets.

Where a task names no template, the columns speak: the prompt is the first of ``PROMPT_COLUMNS`` that the first row
has, the target the first of ``TARGET_COLUMNS``. Without any of the latter, samples have no target. What the first row
decides holds for all: a later row that lacks the column is at fault. A transcription task needs no prompt, and its
target is the first of ``TRANSCRIPT_COLUMNS``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from assay.core.suites.compile import CompiledTask, FewshotPlan
from assay.core.suites.manifest.schema import TaskType
from assay.kit.errors import DomainError, InvalidError
from assay.scoring.fewshot import FewshotRenderer, select_examples
from assay.scoring.templates import Template

PROMPT_COLUMNS = ("prompt", "question", "input", "text")
TARGET_COLUMNS = ("target", "answer", "label", "output")
TRANSCRIPT_COLUMNS = ("target", "text", "transcription", "transcript", "sentence")
NO_PROMPT = Template.parse("")

_CACHED_EXAMPLES = 1024
_NAMES_IN_MESSAGE = 20

Row = Mapping[str, Any]


class RenderError(InvalidError):
    """A task's rows do not give its prompts. ``data`` names the task and, where one is at fault, the row from 0."""

    code = "cannot_render"


@dataclass(frozen=True, slots=True)
class Rendered:
    """What one sample asks, and what is expected."""

    prompt: str
    """Examples included."""
    target: str | None
    """None when the row has none."""
    choices: tuple[str, ...] | None
    """The task's, else the row's own where its column ``choices`` is a list of strings."""
    fewshot_indexes: tuple[int, ...] = ()
    """Rows of the pool that are shown, from 0, in order."""


class RowRenderer:
    """Renders the samples of one task over one set of rows. Rendered examples are kept, since samples share them.

    Args:
        task: The task.
        rows: Its rows after preprocessing: row ``i`` is sample ``i``.
        fewshot_pool: Preprocessed rows of ``task.fewshot.pool_dataset``. Where that is None the pool is the task's own
            rows: leave this out, or give all of them when ``rows`` is only their first part.

    Raises:
        RenderError: There are no rows, or no template and no column that could stand in for one.
    """

    def __init__(self, task: CompiledTask, rows: Sequence[Row], *, fewshot_pool: Sequence[Row] | None = None) -> None:
        self._task = task
        self._rows = rows
        transcribes = task.type is TaskType.TRANSCRIPTION
        self._prompt = task.prompt_template or (
            NO_PROMPT if transcribes and rows else _template_by_column(task, rows, PROMPT_COLUMNS, "prompt")
        )
        columns = TRANSCRIPT_COLUMNS if transcribes else TARGET_COLUMNS
        self._target = task.target_template or _find_template(rows, columns)
        self._examples = (
            None
            if task.fewshot is None
            else _Examples(task, task.fewshot, rows if fewshot_pool is None else fewshot_pool)
        )

    def render(self, index: int) -> Rendered:
        """One sample.

        Args:
            index: Of its row, from 0.

        Raises:
            RenderError: Naming the task, the row, and the column where one is missing.
        """
        row = self._rows[index]
        choices = self._task.choices
        try:
            prompt = self._prompt.render_optional(row, choices=choices)
            target = None if self._target is None else self._target.render_optional(row, choices=choices)
        except DomainError as exc:
            raise _render_error(self._task, exc.message, index=index) from exc
        if prompt is None:
            reason = f"the prompt {self._prompt.text} is null; give it a text or leave the row out"
            raise _render_error(self._task, reason, index=index)
        picks: tuple[int, ...] = ()
        if self._examples is not None:
            picks = self._examples.pick(index)
            prompt = self._examples.prepend(picks, prompt, index=index)
        return Rendered(prompt, target, choices_for(self._task, row), picks)


class _Examples:
    """The examples of one task over one pool of rows."""

    def __init__(self, task: CompiledTask, plan: FewshotPlan, pool: Sequence[Row]) -> None:
        self._task = task
        self._plan = plan
        self._pool = pool
        self._renderer = FewshotRenderer(
            prompt_template=plan.prompt_template or _template_by_column(task, pool, PROMPT_COLUMNS, "few-shot prompt"),
            target_template=plan.target_template or _template_by_column(task, pool, TARGET_COLUMNS, "few-shot target"),
            example_template=plan.example_template,
            separator=plan.separator,
        )
        self._cached_text = lru_cache(maxsize=_CACHED_EXAMPLES)(self._text)

    def pick(self, index: int) -> tuple[int, ...]:
        try:
            return select_examples(
                len(self._pool),
                self._plan.count,
                strategy=self._plan.strategy,
                seed=self._plan.seed,
                sample_index=index,
                same_split=self._plan.pool_dataset is None,
            )
        except DomainError as exc:
            raise _render_error(self._task, exc.message, index=index) from exc

    def prepend(self, picks: tuple[int, ...], prompt: str, *, index: int) -> str:
        shown = [self._cached_text(pick) for pick in picks]
        try:
            return self._renderer.assemble(shown, prompt)
        except DomainError as exc:
            raise _render_error(self._task, exc.message, index=index) from exc

    def _text(self, index: int) -> str:
        try:
            return self._renderer.render_example(self._pool[index], choices=self._task.choices)
        except DomainError as exc:
            raise _render_error(self._task, exc.message, index=index, row_name="few-shot row") from exc


def _template_by_column(task: CompiledTask, rows: Sequence[Row], columns: tuple[str, ...], what: str) -> Template:
    if not rows:
        raise _render_error(task, f"there are no rows for its {what}s; check the dataset and the preprocessor")
    template = _find_template(rows, columns)
    if template is None:
        names = ", ".join(list(rows[0])[:_NAMES_IN_MESSAGE]) or "none"
        raise _render_error(
            task,
            f"it has no {what} template, and the rows have none of the columns {', '.join(columns)}; "
            f"add the template (columns: {names})",
        )
    return template


def _find_template(rows: Sequence[Row], columns: tuple[str, ...]) -> Template | None:
    first: Row = rows[0] if rows else {}
    found = next((column for column in columns if column in first), None)
    return None if found is None else Template.parse(f"{{{{{found}}}}}")


def choices_for(task: CompiledTask, row: Row) -> tuple[str, ...] | None:
    """The task's choices, else the row's own where its column ``choices`` is a list of strings."""
    if task.choices is not None:
        return task.choices
    choices: object = row.get("choices")
    if not isinstance(choices, list) or not choices:
        return None
    items = cast("list[object]", choices)
    return tuple(cast("list[str]", items)) if all(isinstance(item, str) for item in items) else None


def _render_error(task: CompiledTask, reason: str, *, index: int | None = None, row_name: str = "row") -> RenderError:
    place = "" if index is None else f", {row_name} {index + 1}"
    return RenderError(f"Task '{task.id}'{place}: {reason}", data={"task_id": task.id, "row_index": index})
