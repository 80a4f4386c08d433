"""The dialect's routers, for the server to compose."""

from __future__ import annotations

from fastapi import APIRouter

from assay.dialects.posthog.routes import capture, datasets, events, flags, otlp


def routers() -> list[APIRouter]:
    """The routers of the REST resources, whose callers have keys."""
    return [datasets.datasets.router, datasets.items.router, events.events.router]


def capture_routers() -> list[APIRouter]:
    """The routers of capture, whose senders have a project's public token."""
    return [capture.router, otlp.router, flags.router]
