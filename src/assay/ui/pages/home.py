"""The first page: what is running, what ran, what got worse, and what needs attention."""

from __future__ import annotations

from starlette.responses import Response

from assay.core.projects.types import Scope
from assay.core.runs import service as runs
from assay.core.runs.types import RunFilter
from assay.ui.edge import Pages, Visit
from assay.ui.pages.naming import suite_names

pages = Pages()


@pages.get("/", None)
async def show_home(visit: Visit) -> Response:
    """What happened, and what to do next."""
    shown = ()
    if visit.may(Scope.EVALS_READ):
        shown = (await runs.list_runs(visit.session, visit.principal, run_filter=RunFilter(), limit=10)).items
    return await visit.render("home.html", runs=shown, names=await suite_names(visit, shown))
