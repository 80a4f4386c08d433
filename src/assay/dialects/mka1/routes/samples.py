"""Samples (M§2.1, rows 22 and 23)."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from assay.core.runs import audio, service
from assay.core.runs.types import Sample, SampleFilter, SampleStatus
from assay.dialects.mka1 import mapping
from assay.dialects.mka1.identifiers import Prefix, read_id
from assay.dialects.mka1.query import (
    AfterSample,
    ModelHint,
    SampleIndexFilter,
    SampleIndexPath,
    SamplePageLimit,
    TaskHint,
    parse_sample_indexes,
)
from assay.dialects.mka1.route import EvalsReader, Session, mka1_router
from assay.dialects.mka1.wire.base import WireList
from assay.dialects.mka1.wire.runs import WireAudio, WireSample

router = mka1_router("/api/v1/llm/evals", tag="samples")

ScoreBound = Annotated[float | None, Query(allow_inf_nan=False)]


@router.get("/runs/{run_id}/samples")
async def list_samples(
    run_id: str,
    caller: EvalsReader,
    session: Session,
    after: AfterSample = None,
    limit: SamplePageLimit = 100,
    task_id: str | None = None,
    model: str | None = None,
    status: SampleStatus | None = None,
    score_metric: Annotated[str | None, Query(min_length=1, max_length=128)] = None,
    score_min: ScoreBound = None,
    score_max: ScoreBound = None,
    include_dataset_row: bool = True,
    include_reasoning: bool = False,
    sample_index: SampleIndexFilter = None,
) -> WireList[WireSample]:
    """List the samples of a run by task, model and index."""
    sample_filter = SampleFilter(
        task_id=task_id,
        model=model,
        status=status,
        score_metric=score_metric,
        score_min=score_min,
        score_max=score_max,
        sample_indexes=parse_sample_indexes(sample_index),
    )
    page = await service.list_samples(
        session,
        caller,
        run_id=read_id(Prefix.RUN, run_id, param="run_id"),
        sample_filter=sample_filter,
        after=after,
        limit=limit,
    )

    def to_wire(sample: Sample) -> WireSample:
        return mapping.to_sample(sample, with_row=include_dataset_row, with_reasoning=include_reasoning)

    return mapping.to_list(page, to_wire)


@router.get("/runs/{run_id}/samples/{sample_index}/audio")
async def get_sample_audio(
    run_id: str,
    sample_index: SampleIndexPath,
    caller: EvalsReader,
    session: Session,
    model: ModelHint = None,
    task_id: TaskHint = None,
) -> WireAudio:
    """The clip of a sample's dataset row."""
    clip = await audio.get_clip(
        session,
        caller,
        run_id=read_id(Prefix.RUN, run_id, param="run_id"),
        sample_index=sample_index,
        task_id=task_id,
        model=model,
    )
    return WireAudio(
        object="eval.sample.audio",
        audio=clip.audio,
        sample_index=clip.sample_index,
        task_id=clip.task_id,
        model=clip.model,
    )
