"""Files to download: what a run left."""

from __future__ import annotations

from starlette.responses import Response, StreamingResponse

from assay.core.files.service import open_content
from assay.core.projects.types import Scope
from assay.core.runs.service import get_run
from assay.ui.edge import PageNotFoundError, Pages, Visit

pages = Pages()


@pages.get("/runs/{run_id}/files/{kind}", Scope.FILES_READ)
async def download_artifact(visit: Visit) -> Response:
    """A run's results or samples, as a file of the project."""
    visit.principal.require(Scope.EVALS_READ)
    run = await get_run(visit.session, visit.principal, run_id=visit.path_id("run_id"))
    kind = visit.request.path_params["kind"]
    file_id = {"results": run.result_file_id, "samples": run.samples_file_id}.get(kind)
    if file_id is None:
        raise PageNotFoundError("The run left no such file.")
    content = await open_content(visit.session, visit.principal, store=visit.state.files, file_id=file_id)
    ending = content.file.filename.rpartition(".")[2]
    headers = {
        "Content-Length": str(content.end - content.start),
        "Content-Disposition": f'attachment; filename="{kind}-{run.id.hex[-8:]}.{ending}"',
        "X-Content-Type-Options": "nosniff",
    }
    return StreamingResponse(content.chunks, media_type="application/octet-stream", headers=headers)
