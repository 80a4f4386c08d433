"""Scoring the vectors of one model to one embedding task, all at once.

Metrics and scores are written in one transaction. After failed texts have been embedded by a rerun, everything is
scored anew, since one text more in a corpus may change the ranking of every query.

A text that could not be embedded is left out: a hole in the corpus, a training text less, an evaluated text that is
counted as failed. Where what is left cannot be scored at all, the evaluated texts fail with the reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.runs import ledger, repository
from assay.core.runs.embedding.layout import Part
from assay.core.runs.errors import RunStoppedError
from assay.core.runs.ledger import Execution, SampleResult
from assay.core.runs.types import RunStatus, SampleStatus
from assay.core.runs.writable import encode
from assay.core.suites.manifest.schema import EmbeddingConfig, EmbeddingKind
from assay.db.engine import SessionFactory
from assay.db.session import transaction
from assay.kit.clock import utc_now
from assay.scoring.embedding import ProtocolResult, Vectors
from assay.scoring.embedding.labels import Sampling, score_classification, score_multilabel
from assay.scoring.embedding.ranking import K_VALUES, Query, score_ranking
from assay.scoring.embedding.sts import score_sts

READ_BATCH = 1000
WRITE_BATCH = 1000

_EVALUATED = frozenset({Part.PAIR, Part.EVALUATED, Part.QUERY})


@dataclass(frozen=True, slots=True)
class EmbeddedText:
    """A sample that has its vectors."""

    sample_index: int
    status: SampleStatus
    protocol: Mapping[str, Any]

    @property
    def part(self) -> Part:
        """What it is in its task."""
        return Part(self.protocol["part"])


@dataclass(frozen=True, slots=True)
class Embedded:
    """All samples of a group that have vectors, in order."""

    texts: Sequence[EmbeddedText]
    vectors: Vectors
    """Shape (texts, dimensions); in sts the two vectors of a pair side by side."""

    def of(self, *parts: Part) -> Embedded:
        """Those that are a certain part of the task."""
        rows = [row for row, one in enumerate(self.texts) if one.part in parts]
        if len(rows) == len(self.texts):
            return self
        return Embedded([self.texts[row] for row in rows], self.vectors[_as_range(rows)])

    def values(self, name: str) -> list[Any]:
        """What the protocol knows of each text."""
        return [one.protocol[name] for one in self.texts]


def _as_range(rows: list[int]) -> slice | list[int]:
    """A slice where rows follow each other, which NumPy takes without a copy."""
    if rows and rows[-1] - rows[0] == len(rows) - 1:
        return slice(rows[0], rows[-1] + 1)
    return rows


async def score_vectors(
    sessions: SessionFactory, config: EmbeddingConfig, *, execution: Execution, task_no: int, model_no: int
) -> int:
    """Score the vectors of one model to one task, if some have not been scored.

    Returns:
        How many samples were settled.

    Raises:
        RunStoppedError: The run was cancelled or deleted meanwhile.
    """
    async with sessions() as session:
        waiting = await _count_waiting(session, execution.run_id, task_no=task_no, model_no=model_no)
        if not waiting:
            return 0
        await ledger.allow_long_statements(session)
        embedded, fault = await _load_or_fault(session, execution.run_id, task_no=task_no, model_no=model_no)
    try:
        result = await asyncio.to_thread(_score, config, embedded) if fault is None else None
    except ValueError as error:
        result, fault = None, str(error)
    async with transaction(sessions) as session:
        await ledger.allow_long_statements(session)
        run = await repository.lock_run(session, execution.run_id)
        if RunStatus(run.status) is not RunStatus.IN_PROGRESS or run.execution != execution.number:
            raise RunStoppedError(RunStatus(run.status))
        run.group_metrics = {**run.group_metrics, f"{task_no}/{model_no}": _described(result)}
        await session.flush()
        results = _results(embedded.texts, result, fault, task_no=task_no, model_no=model_no)
        await _write(session, execution, results)
    return waiting


async def _load_or_fault(
    session: AsyncSession, run_id: UUID, *, task_no: int, model_no: int
) -> tuple[Embedded, str | None]:
    """All that have vectors; without the vectors, and why, when those do not fit together."""
    values = {"run_id": run_id, "task_no": task_no, "model_no": model_no}
    texts: list[EmbeddedText] = []
    vectors = np.empty((0, 0), dtype=np.float32)
    fault: str | None = None
    total = (await session.execute(_COUNT, values)).scalar_one()
    rows = await session.stream(_LOAD, values)
    async for batch in rows.partitions(READ_BATCH):
        for row in batch:
            vector = np.frombuffer(row.vectors, dtype="<f4")
            if not texts:
                vectors = np.empty((total, len(vector)), dtype=np.float32)
            if len(vector) != vectors.shape[1]:
                fault = f"the model's vectors differ in length: {vectors.shape[1]} and {len(vector)} numbers"
            else:
                vectors[len(texts)] = vector
            texts.append(EmbeddedText(row.sample_index, SampleStatus(row.status), row.protocol))
    return Embedded(texts, vectors), fault


def _score(config: EmbeddingConfig, embedded: Embedded) -> ProtocolResult:
    """By the protocol of the task's kind.

    Raises:
        ValueError: What is there cannot be scored.
    """
    match config.kind:
        case EmbeddingKind.STS:
            middle = embedded.vectors.shape[1] // 2
            gold: NDArray[np.float64] = np.array(embedded.values("gold"), dtype=np.float64)
            return score_sts(embedded.vectors[:, :middle], embedded.vectors[:, middle:], gold)
        case EmbeddingKind.CLASSIFICATION | EmbeddingKind.MULTILABEL_CLASSIFICATION:
            return _score_labels(config, embedded)
        case EmbeddingKind.RETRIEVAL | EmbeddingKind.RERANKING:
            queries, corpus = embedded.of(Part.QUERY), embedded.of(Part.CORPUS)
            if not corpus.texts:
                raise ValueError("no text of the corpus could be embedded")
            known = [Query(one.protocol["relevance"], one.protocol["candidates"]) for one in queries.texts]
            k_values = config.k_values or K_VALUES
            return score_ranking(known, queries.vectors, corpus.values("id"), corpus.vectors, k_values=k_values)


def _score_labels(config: EmbeddingConfig, embedded: Embedded) -> ProtocolResult:
    train, evaluated = embedded.of(Part.TRAIN), embedded.of(Part.EVALUATED)
    if not evaluated.texts:
        return ProtocolResult({}, [])
    sampling = Sampling(config.samples_per_label, config.n_experiments, config.seed)
    known, gold = train.values("labels"), evaluated.values("labels")
    if config.kind is EmbeddingKind.MULTILABEL_CLASSIFICATION:
        return score_multilabel(train.vectors, known, evaluated.vectors, gold, sampling=sampling)
    first = [labels[0] for labels in known], [labels[0] for labels in gold]
    return score_classification(train.vectors, first[0], evaluated.vectors, first[1], sampling=sampling)


def _described(result: ProtocolResult | None) -> dict[str, Any]:
    if result is None:
        return {}
    metrics = result.metrics
    return {metric: {**asdict(aggregate), "method": aggregate.method.value} for metric, aggregate in metrics.items()}


def _results(
    texts: Sequence[EmbeddedText], result: ProtocolResult | None, fault: str | None, *, task_no: int, model_no: int
) -> list[tuple[SampleStatus, SampleResult]]:
    """What becomes of each sample, with the status that it had."""
    scores = iter(() if result is None else result.samples)
    found: list[tuple[SampleStatus, SampleResult]] = []
    for one in texts:
        values: dict[str, Any] = {"scores": {}, "completed_at": utc_now()}
        status = SampleStatus.COMPLETED
        if one.part in _EVALUATED:
            if fault is not None:
                status, values["error"] = SampleStatus.FAILED, {"code": "not_scorable", "message": fault}
            elif result is not None:
                values["scores"] = dict(next(scores))
        found.append((one.status, SampleResult(task_no, model_no, one.sample_index, status, values)))
    return found


async def _write(
    session: AsyncSession, execution: Execution, results: Sequence[tuple[SampleStatus, SampleResult]]
) -> None:
    fresh = [result for status, result in results if status is SampleStatus.READY_TO_SCORE]
    again = [result for status, result in results if status is SampleStatus.COMPLETED and result.values["scores"]]
    for start in range(0, len(fresh), WRITE_BATCH):
        await ledger.record_scores(session, execution, fresh[start : start + WRITE_BATCH])
    for start in range(0, len(again), WRITE_BATCH):
        part = again[start : start + WRITE_BATCH]
        rows = [
            {"t": one.task_no, "m": one.model_no, "i": one.sample_index, "scores": one.values["scores"]} for one in part
        ]
        await session.execute(_RESCORE, {"run_id": execution.run_id, "rows": encode(rows)})


async def _count_waiting(session: AsyncSession, run_id: UUID, *, task_no: int, model_no: int) -> int:
    values = {"run_id": run_id, "task_no": task_no, "model_no": model_no}
    return int((await session.execute(_WAITING, values)).scalar_one())


_WAITING = text("""
    SELECT count(*) FROM run_samples
    WHERE run_id = :run_id AND task_no = :task_no AND model_no = :model_no AND status = 'ready_to_score'
""")
_COUNT = text("""
    SELECT count(*) FROM run_samples
    WHERE run_id = :run_id AND task_no = :task_no AND model_no = :model_no AND vectors IS NOT NULL
      AND status IN ('ready_to_score', 'completed')
""")
_LOAD = text("""
    SELECT s.sample_index, s.status, s.vectors, i.protocol
    FROM run_samples s
    JOIN run_items i ON i.run_id = s.run_id AND i.task_no = s.task_no AND i.sample_index = s.sample_index
    WHERE s.run_id = :run_id AND s.task_no = :task_no AND s.model_no = :model_no AND s.vectors IS NOT NULL
      AND s.status IN ('ready_to_score', 'completed')
    ORDER BY s.sample_index
""").columns(protocol=JSONB)
_RESCORE = text("""
    UPDATE run_samples s SET scores = r.scores
    FROM json_to_recordset(CAST(:rows AS json)) AS r (t smallint, m smallint, i integer, scores jsonb)
    WHERE s.run_id = :run_id AND s.task_no = r.t AND s.model_no = r.m AND s.sample_index = r.i
      AND s.status = 'completed'
""")
