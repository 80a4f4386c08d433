"""The dialect's routers, for the server to compose."""

from __future__ import annotations

from fastapi import APIRouter

from assay.dialects.posthog.routes import datasets


def routers() -> list[APIRouter]:
    """All routers of the dialect."""
    return [datasets.datasets.router, datasets.items.router]
