"""The dialect's routers, for the server to compose."""

from __future__ import annotations

from fastapi import APIRouter

from assay.dialects.mka1.routes import deliveries, files, models, runs, samples, schedules, suites

PREFIX = "/api/v1/"
"""Every path of the dialect begins with this, and none of another dialect's does."""


def routers() -> list[APIRouter]:
    """All routers of the dialect."""
    return [
        suites.router,
        runs.router,
        samples.router,
        schedules.router,
        deliveries.router,
        files.router,
        models.router,
    ]
