"""From the rows of an embedding task's datasets to items, one for each text (each pair in sts).

Every text is cut at ``max_chars``. What later scoring needs is kept with the item, so that the datasets may go:

| part | ``protocol`` |
|---|---|
| pair | ``gold``: number |
| evaluated, train | ``labels``: list |
| query | ``id``, ``relevance``: corpus id to whole number, ``candidates``: corpus ids or null |
| corpus | ``id`` |
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, cast

from assay.core.runs.errors import RunInputError
from assay.core.suites.manifest.schema import EmbeddingConfig, EmbeddingKind
from assay.kit import json

Row = Mapping[str, Any]

_SHOWN = 100


class Part(StrEnum):
    """What a text is in its task."""

    PAIR = "pair"
    EVALUATED = "evaluated"
    TRAIN = "train"
    QUERY = "query"
    CORPUS = "corpus"


@dataclass(frozen=True, slots=True)
class EmbeddingRows:
    """The rows of a task's datasets; ``dataset`` after preprocessing."""

    dataset: Sequence[Row]
    train: Sequence[Row] = ()
    corpus: Sequence[Row] = ()
    qrels: Sequence[Row] = ()
    top_ranked: Sequence[Row] = ()


@dataclass(frozen=True, slots=True)
class TextItem:
    """One item: what is embedded, and what is known of it."""

    row: Row
    prompt: str
    """The text; in sts both, with a line break between them."""
    target: str | None
    protocol: dict[str, Any] = field(default_factory=dict[str, Any])


def lay_out_texts(config: EmbeddingConfig, rows: EmbeddingRows) -> list[TextItem]:
    """The items of a task, in the order of its samples.

    Raises:
        RunInputError: Too many texts, a missing or misshapen column, an id that occurs twice.
    """
    count = (2 if config.kind is EmbeddingKind.STS else 1) * len(rows.dataset) + len(rows.train) + len(rows.corpus)
    if count > config.max_texts:
        raise RunInputError(f"the datasets have {count:,} texts; embedding.max_texts allows {config.max_texts:,}")
    return list(_Layout(config).items(rows))


def texts_of(config: EmbeddingConfig, row: Row, prompt: str) -> list[str]:
    """The texts that an item stands for: two in sts, else one.

    Args:
        config: Of the task.
        row: The item's dataset row.
        prompt: The item's prompt.
    """
    if config.kind is not EmbeddingKind.STS:
        return [prompt]
    return [str(row[column])[: config.max_chars] for column in (config.text1_column, config.text2_column)]


class _Layout:
    """Reads rows by the columns that a configuration names."""

    def __init__(self, config: EmbeddingConfig) -> None:
        self._config = config

    def items(self, rows: EmbeddingRows) -> Iterator[TextItem]:
        match self._config.kind:
            case EmbeddingKind.STS:
                yield from self._pairs(rows.dataset)
            case EmbeddingKind.CLASSIFICATION | EmbeddingKind.MULTILABEL_CLASSIFICATION:
                yield from self._labelled(rows.dataset, Part.EVALUATED, "dataset")
                yield from self._labelled(rows.train, Part.TRAIN, "train_dataset")
            case EmbeddingKind.RETRIEVAL | EmbeddingKind.RERANKING:
                yield from self._queries(rows)
                yield from self._corpus(rows.corpus)

    def _pairs(self, rows: Sequence[Row]) -> Iterator[TextItem]:
        config = self._config
        for number, row in enumerate(rows):
            place = f"row {number + 1}"
            texts = [self._text(row, column, place) for column in (config.text1_column, config.text2_column)]
            gold = _number(_value(row, config.score_column, place), f"{place}: column '{config.score_column}'")
            yield TextItem(row, "\n".join(texts), json.dumps(gold), {"part": Part.PAIR, "gold": gold})

    def _labelled(self, rows: Sequence[Row], part: Part, dataset: str) -> Iterator[TextItem]:
        column = self._config.label_column
        for number, row in enumerate(rows):
            place = f"{dataset}, row {number + 1}"
            labels = self._labels(_value(row, column, place), f"{place}: column '{column}'")
            text = self._text(row, self._config.text_column, place)
            shown = labels[0] if self._config.kind is EmbeddingKind.CLASSIFICATION else labels
            target = shown if isinstance(shown, str) else json.dumps(shown)
            yield TextItem(row, text, target, {"part": part, "labels": labels})

    def _labels(self, value: Any, place: str) -> list[Any]:
        values = [value] if self._config.kind is EmbeddingKind.CLASSIFICATION else _list(value, place)
        if not all(isinstance(label, str | int) for label in values):
            raise RunInputError(f"{place} holds a label that is neither a text nor a whole number")
        return list(dict.fromkeys(values))

    def _queries(self, rows: EmbeddingRows) -> Iterator[TextItem]:
        relevance = self._relevance(rows.qrels)
        is_reranking = self._config.kind is EmbeddingKind.RERANKING
        candidates = self._candidates(rows.top_ranked) if is_reranking else {}
        for number, (name, row) in enumerate(self._identified(rows.dataset, "dataset")):
            judged = relevance.get(name, {})
            text = self._text(row, self._config.text_column, f"row {number + 1}")
            offered = candidates.get(name, []) if is_reranking else None
            known = {"part": Part.QUERY, "id": name, "relevance": judged, "candidates": offered}
            yield TextItem(row, text, json.dumps(judged) if judged else None, known)

    def _corpus(self, rows: Sequence[Row]) -> Iterator[TextItem]:
        config = self._config
        for number, (name, row) in enumerate(self._identified(rows, "corpus_dataset")):
            place = f"corpus_dataset, row {number + 1}"
            text = _text(_value(row, config.text_column, place), f"{place}: column '{config.text_column}'")
            title = row.get(config.title_column)
            joined = f"{title} {text}".strip() if isinstance(title, str) and title else text
            yield TextItem(row, joined[: config.max_chars], None, {"part": Part.CORPUS, "id": name})

    def _identified(self, rows: Sequence[Row], dataset: str) -> Iterator[tuple[str, Row]]:
        seen: set[str] = set()
        for number, row in enumerate(rows):
            name = _id(_value(row, self._config.id_column, f"{dataset}, row {number + 1}"))
            if name in seen:
                raise RunInputError(f"{dataset}, row {number + 1}: the id '{name[:_SHOWN]}' occurs twice")
            seen.add(name)
            yield name, row

    def _relevance(self, rows: Sequence[Row]) -> dict[str, dict[str, int]]:
        config, found = self._config, dict[str, dict[str, int]]()
        for number, row in enumerate(rows):
            place = f"qrels_dataset, row {number + 1}"
            query = _id(_value(row, config.query_id_column, place))
            text = _id(_value(row, config.corpus_id_column, place))
            score = _number(_value(row, config.score_column, place), f"{place}: column '{config.score_column}'")
            if score != int(score):
                raise RunInputError(f"{place}: column '{config.score_column}' must hold whole numbers, not {score}")
            found.setdefault(query, {})[text] = int(score)
        return found

    def _candidates(self, rows: Sequence[Row]) -> dict[str, list[str]]:
        config, found = self._config, dict[str, list[str]]()
        for number, row in enumerate(rows):
            place = f"top_ranked_dataset, row {number + 1}"
            query = _id(_value(row, config.query_id_column, place))
            value = _value(row, config.corpus_ids_column, place)
            found[query] = [_id(name) for name in _list(value, f"{place}: column '{config.corpus_ids_column}'")]
        return found

    def _text(self, row: Row, column: str, place: str) -> str:
        return _text(_value(row, column, place), f"{place}: column '{column}'")[: self._config.max_chars]


def _value(row: Row, column: str, place: str) -> Any:
    if row.get(column) is None:
        columns = ", ".join(list(row)[:20])
        raise RunInputError(f"{place}: there is no value in the column '{column}' (columns: {columns})")
    return row[column]


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise RunInputError(f"{place} must hold texts, not a {type(value).__name__}")
    return value


def _id(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _number(value: Any, place: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise RunInputError(f"{place} must hold numbers, not {str(value)[:_SHOWN]!r}")
    return number


def _list(value: Any, place: str) -> list[Any]:
    """A list; CSV has lists as JSON text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    if not isinstance(value, list):
        raise RunInputError(f"{place} must hold lists")
    return cast("list[Any]", value)
