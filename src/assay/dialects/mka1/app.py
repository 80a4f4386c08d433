"""The dialect's routers, for the server to compose."""

from __future__ import annotations

from fastapi import APIRouter

from assay.dialects.mka1.routes import (
    agentruns,
    agents,
    agentschedules,
    boards,
    calibration,
    comparison,
    conversations,
    deliveries,
    embeddings,
    files,
    functiontools,
    imports,
    models,
    responses,
    runs,
    samples,
    schedules,
    shares,
    suites,
    trajectories,
)

PREFIX = "/api/v1/"
"""Every path of the dialect begins with this, and none of another dialect's does."""


def routers() -> list[APIRouter]:
    """All routers of the dialect."""
    return [
        suites.router,
        shares.router,
        boards.router,
        runs.router,
        comparison.router,
        calibration.router,
        samples.router,
        imports.router,
        trajectories.router,
        schedules.router,
        deliveries.router,
        files.router,
        models.router,
        responses.router,
        conversations.router,
        embeddings.router,
        # Its paths would be taken for an agent's id.
        functiontools.router,
        agents.router,
        agentruns.router,
        agentschedules.router,
    ]
