"""The dialect's OpenAPI document: its REST resources, for clients and generators.

Routes read bodies and queries by hand, because of the order of refusals (P§1.3); what they read is told to
``Resource.route``, from where it gets here. Capture has paths of the vendor's clients and is no part of it.

``docs/openapi/posthog.json`` is a copy. After a change, write it anew::

    uv run python -m assay.dialects.posthog.openapi docs/openapi/posthog.json
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema

from assay.dialects.posthog.app import routers
from assay.dialects.posthog.route import BODIES, SCHEMA_REFERENCE


@cache
def document() -> dict[str, Any]:
    """The document, as JSON-ready data."""
    app = FastAPI(
        title="Assay: posthog",
        summary="Datasets, evaluations, events.",
        version="1.0.0",
        generate_unique_id_function=_operation_id,
    )
    for router in routers():
        app.include_router(router)
    described = app.openapi()
    _, bodies = models_json_schema(
        [(model, "validation") for model in sorted(BODIES, key=lambda model: model.__name__)],
        ref_template=SCHEMA_REFERENCE,
    )
    schemas: dict[str, Any] = described["components"]["schemas"]
    schemas.update(bodies.get("$defs", {}))
    # FastAPI's own refusals never leave: routes check bodies and queries themselves.
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for verbs in described["paths"].values():
        for operation in verbs.values():
            operation["responses"].pop("422", None)
    return described


def _operation_id(route: APIRoute) -> str:
    """Unique over the two prefixes, which have the same handlers."""
    return f"{route.path.split('/')[2]}_{route.name}"


def render() -> bytes:
    """The document as text that reads and diffs well."""
    return orjson.dumps(document(), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(render())
