"""Reading what lm-evaluation-harness writes with ``--log_samples``.

A folder for each model holds ``results_<date>.json`` and, for each task, ``samples_<task>_<date>.jsonl``. A line of the
latter is one document: ``doc_id``, ``doc``, ``target``, ``arguments`` (the prompt and how it was generated), ``resps``,
``filtered_resps``, ``filter``, ``metrics`` (names) and under each of these names its value. A task with several filters
has a line for each of them; the first one's values go by the metric's own name, those of others by ``metric,filter``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, cast

import orjson

from assay.core.imports.history.errors import HistoryFormatError, HistoryTooLargeError
from assay.core.imports.types import MAX_SAMPLE_INDEX, Trial
from assay.core.runs.types import SampleStatus
from assay.core.runs.writable import encode

SCORE = "score"
"""The one metric that all imported tasks have, for boards across tasks."""
MAX_SAMPLES = 100_000
"""Of one file."""

EARLIEST_YEAR = 2000
"""Dates before it are no dates."""

_PREFERRED = ("exact_match", "acc", "acc_norm", "f1", "pass@1", "em", "rougeL", "bleu", "mc2")
_SAMPLES_FILE = re.compile(r"samples_(?P<task>.+?)(_(?P<date>\d{4}-\d\d-\d\dT[\d.:+-]+))?\.jsonl")
_DATE = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d)[-:](\d\d)[-:](\d\d)(\.\d{1,6})?.*")
_PRETRAINED = re.compile(r"(?:^|,)(?:pretrained|model)=([^,]+)")
_MAX_NAME = 255
_MAX_METRIC = 128


@dataclass(frozen=True, slots=True)
class SamplesFile:
    """A samples file by its name."""

    path: str
    task_id: str
    date: str | None
    """As it is in the name."""

    @property
    def folder(self) -> str:
        """Where it lies; empty at the top."""
        parent = PurePosixPath(self.path).parent.as_posix()
        return "" if parent == "." else parent

    @property
    def results_path(self) -> str | None:
        """The results file of the same evaluation."""
        if self.date is None:
            return None
        return str(PurePosixPath(self.folder) / f"results_{self.date}.json")

    @property
    def evaluated_at(self) -> datetime | None:
        """When, taken as UTC, since the harness does not say."""
        found = None if self.date is None else _DATE.fullmatch(self.date)
        if found is None:
            return None
        day, hour, minute, second, fraction = found.groups()
        try:
            moment = datetime.fromisoformat(f"{day}T{hour}:{minute}:{second}").replace(
                microsecond=int(float(fraction or 0) * 1_000_000), tzinfo=UTC
            )
        except ValueError:
            return None
        return moment if moment.year >= EARLIEST_YEAR else None


def recognize(path: str) -> SamplesFile | None:
    """What a path says of a samples file; None for other files."""
    found = _SAMPLES_FILE.fullmatch(PurePosixPath(path).name)
    if found is None or len(found["task"]) > _MAX_NAME:
        return None
    return SamplesFile(path, found["task"], found["date"])


def model_name(file: SamplesFile, results: bytes | None, *, repository: str) -> str:
    """The evaluated model: as the results say, else by the folder's name, in which ``__`` stands for a slash."""
    stated = None if results is None else _stated_model(results)
    folder = PurePosixPath(file.folder).name.replace("__", "/")
    return (stated or folder or repository)[:_MAX_NAME]


def _stated_model(results: bytes) -> str | None:
    try:
        found: Any = orjson.loads(results)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    described = cast("dict[str, Any]", found)
    if isinstance(name := described.get("model_name"), str) and name:
        return name
    config: Any = described.get("config")
    arguments: Any = cast("dict[str, Any]", config).get("model_args") if isinstance(config, dict) else None
    if isinstance(arguments, str) and (match := _PRETRAINED.search(arguments)):
        return match.group(1)
    pretrained: Any = cast("dict[str, Any]", arguments).get("pretrained") if isinstance(arguments, dict) else None
    return pretrained if isinstance(pretrained, str) and pretrained else None


def read_trials(file: SamplesFile, content: bytes) -> list[Trial]:
    """The documents of a samples file.

    Raises:
        HistoryFormatError: Naming the file and line.
        HistoryTooLargeError: There are more than 100,000.
    """
    trials: dict[int, Trial] = {}
    for number, document in _documents(file, content):
        index = document.get("doc_id", number - 1)
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index <= MAX_SAMPLE_INDEX:
            raise _fault(file, number, "`doc_id` is not a whole number of at least 0")
        first = trials.get(index)
        if first is None:
            trials[index] = _first_trial(file, document, index)
        else:
            others = {f"{name},{document.get('filter', number)}": value for name, value in _values(document).items()}
            trials[index] = replace(first, scores={**_fitting(others), **first.scores})
        if len(trials) > MAX_SAMPLES:
            raise HistoryTooLargeError(f"{file.path} has more than {MAX_SAMPLES:,} samples.")
    return list(trials.values())


def _documents(file: SamplesFile, content: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            document = _parse(line)
        except (ValueError, RecursionError) as fault:
            raise _fault(file, number, f"it is not JSON: {fault}") from fault
        if not isinstance(document, dict):
            raise _fault(file, number, "it is not an object")
        yield number, cast("dict[str, Any]", document)


def _parse(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except ValueError:
        # The harness writes NaN and numbers of any size.
        return json.loads(line)


def _first_trial(file: SamplesFile, document: Mapping[str, Any], index: int) -> Trial:
    scores = _fitting(_values(document))
    if scores and SCORE not in scores:
        primary = next((name for name in _PREFERRED if name in scores), next(iter(scores)))
        scores[SCORE] = scores[primary]
    row: Any = document.get("doc")
    filtered = _first(document.get("filtered_resps"))
    return Trial(
        task_id=file.task_id,
        sample_index=index,
        status=SampleStatus.COMPLETED if scores else SampleStatus.FAILED,
        prompt=_prompt(document.get("arguments")),
        target=_text(document.get("target")),
        output_text=_text(_first(_first(document.get("resps")))),
        extracted_output=_text(filtered),
        dataset_row=cast("dict[str, Any]", row) if isinstance(row, dict) else {},
        scores=scores,
        error=None if scores else {"code": "not_scored", "message": "The harness recorded no numeric metric."},
    )


def _values(document: Mapping[str, Any]) -> dict[str, float]:
    """The document's metrics that are single numbers."""
    names: Any = document.get("metrics")
    wanted = [name for name in cast("list[Any]", names) if isinstance(name, str)] if isinstance(names, list) else []
    # Older files do not list their metrics.
    names = wanted or [name for name in _PREFERRED if name in document]
    found = {name: document.get(name) for name in names}
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float) and _finite(value)}


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _fitting(scores: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in scores.items() if 1 <= len(name) <= _MAX_METRIC}


def _prompt(arguments: Any) -> str:
    """The first argument of the first request: newer files number them, older ones list them."""
    return _text(_first(_first(arguments))) or ""


def _first(value: Any) -> Any:
    if isinstance(value, list) and value:
        return cast("list[Any]", value)[0]
    if isinstance(value, dict) and value:
        return next(iter(cast("dict[str, Any]", value).values()))
    return None if isinstance(value, list | dict) else value


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return encode(value)


def _fault(file: SamplesFile, line: int, reason: str) -> HistoryFormatError:
    return HistoryFormatError(f"{file.path}, line {line}: {reason}.", param="source.files")
