"""The dialect's routers, for the server to compose, and the paths that are its own."""

from __future__ import annotations

import re

from fastapi import APIRouter

from assay.dialects.overmind.route import Resource
from assay.dialects.overmind.routes import accounts, datasets, jobs, otlp, projects, targets, traces

_OWN = re.compile(
    r"/api/(agents|auth|datasets|docs|job-iterations|jobs|prompts|schema|spans|suggestions|traces)(/|$)"
    r"|/api/(v1/traces|otlp/)"
    r"|/api/projects(/?$|/[0-9a-fA-F-]{32,36}(/|$))|/health$"
)


def resources() -> list[Resource]:
    """All resources of the dialect."""
    return [
        jobs.jobs,
        jobs.iterations,
        targets.agents,
        targets.prompts,
        targets.suggestions,
        datasets.datasets,
        traces.traces,
        traces.spans,
        otlp.exports,
        projects.projects,
        projects.auth,
        accounts.memberships,
        accounts.signing,
    ]


def routers() -> list[APIRouter]:
    """All routers of the dialect."""
    return [resource.router for resource in resources()]


def owns(path: str) -> bool:
    """Whether a path that no route has belongs to this dialect, so that its answer has the dialect's form."""
    return _OWN.match(path) is not None
