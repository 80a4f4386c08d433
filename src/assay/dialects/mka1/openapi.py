"""The dialect's OpenAPI document, built from its routers alone, for clients and generators.

``docs/openapi/mka1.json`` is a copy. After a change, write it anew::

    uv run python -m assay.dialects.mka1.openapi docs/openapi/mka1.json
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from fastapi import FastAPI

from assay.core.projects.types import MAX_DELEGATE_LENGTH
from assay.core.requests.service import MAX_KEY_LENGTH
from assay.dialects.edge.route import MUTATING
from assay.dialects.mka1.app import routers

VERSION = "1.1.0"
"""Of the published document that the dialect follows."""


# Read by the route class, not by the routes, so FastAPI does not know of them.
_HEADERS: dict[str, dict[str, Any]] = {
    "OnBehalfOf": {
        "name": "X-On-Behalf-Of",
        "in": "header",
        "required": False,
        "description": "The end user for whom the call is made: it sees and makes only that user's own objects. "
        "The key must be allowed to delegate.",
        "schema": {"type": "string", "minLength": 1, "maxLength": MAX_DELEGATE_LENGTH, "pattern": "^[ -~]+$"},
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "Names this request for 24 hours: sent again with the same key it is not carried out again, "
        "but gets the same answer.",
        "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH, "pattern": "^[!-~]+$"},
    },
}


@cache
def document() -> dict[str, Any]:
    """The document, as JSON-ready data."""
    app = FastAPI(
        title="Assay: mka1",
        summary="Evals, files and models.",
        version=VERSION,
        generate_unique_id_function=lambda route: route.name,
    )
    for router in routers():
        app.include_router(router)
    described = app.openapi()
    described["components"]["parameters"] = _HEADERS
    for verbs in described["paths"].values():
        for verb, operation in verbs.items():
            names = ["OnBehalfOf", "IdempotencyKey"] if verb.upper() in MUTATING else ["OnBehalfOf"]
            references = [{"$ref": f"#/components/parameters/{name}"} for name in names]
            operation["parameters"] = [*operation.get("parameters", []), *references]
    return described


def render() -> bytes:
    """The document as text that reads and diffs well."""
    return orjson.dumps(document(), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(render())
