"""The dialect's routers, for the server to compose."""

from __future__ import annotations

from fastapi import APIRouter

from assay.dialects.posthog.routes import capture, datasets, evaluations, events, flags, online, otlp, provider_keys


def routers() -> list[APIRouter]:
    """The routers of the REST resources, whose callers have keys."""
    resources = (
        datasets.datasets,
        datasets.items,
        evaluations.evaluations,
        provider_keys.provider_keys,
        online.online,
        events.events,
    )
    return [resource.router for resource in resources]


def capture_routers() -> list[APIRouter]:
    """The routers of capture, whose senders have a project's public token."""
    return [capture.router, otlp.router, flags.router]
