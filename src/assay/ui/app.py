"""All pages, as routes of the application."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from assay.ui.pages import (
    agents,
    compare,
    datasets,
    entry,
    evaluators,
    files,
    home,
    jobs,
    labels,
    runs,
    samples,
    schedules,
    settings,
    suites,
    traffic,
)
from assay.ui.rendering import ASSETS, read_asset

MODULES = (
    agents,
    compare,
    datasets,
    entry,
    evaluators,
    files,
    home,
    jobs,
    labels,
    runs,
    samples,
    schedules,
    settings,
    suites,
    traffic,
)


def routes() -> list[Route]:
    """The routes of the UI. Their paths are none that an API has."""
    found = [Route("/assets/{name}", serve_asset, include_in_schema=False)]
    for module in MODULES:
        found += module.pages.routes
    return found


async def serve_asset(request: Request) -> Response:
    """A style sheet, script or icon; its address changes with its content, so it may be kept for good."""
    name = request.path_params["name"]
    if name not in ASSETS:
        return Response("not found", 404, media_type="text/plain")
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    return Response(read_asset(name), headers=headers, media_type=ASSETS[name])
