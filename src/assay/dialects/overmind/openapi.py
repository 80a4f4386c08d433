"""The dialect's OpenAPI document, built from its routers alone, for clients and generators.

``docs/openapi/overmind.json`` is a copy. After a change, write it anew::

    uv run python -m assay.dialects.overmind.openapi docs/openapi/overmind.json
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from assay.dialects.overmind.app import resources

VERSION = "1.0.0"
"""Of the published document that the dialect follows."""
_REFERENCE = "#/components/schemas/{model}"


@cache
def document() -> dict[str, Any]:
    """The document, as JSON-ready data."""
    app = FastAPI(
        title="Assay: overmind",
        summary="Jobs that score, tune and compare, and what they work on.",
        version=VERSION,
        generate_unique_id_function=lambda route: route.name,
    )
    for resource in resources():
        app.include_router(resource.router)
    described = app.openapi()
    inputs = sorted({model for resource in resources() for model in resource.inputs}, key=lambda model: model.__name__)
    _, schemas = models_json_schema([(model, "validation") for model in inputs], ref_template=_REFERENCE)
    described["components"]["schemas"].update(schemas["$defs"])
    for name in ("HTTPValidationError", "ValidationError"):
        described["components"]["schemas"].pop(name, None)
    for verbs in described["paths"].values():
        for operation in verbs.values():
            _tell_errors(operation)
    return described


def _tell_errors(operation: dict[str, Any]) -> None:
    operation["responses"].pop("422", None)
    operation["responses"]["default"] = {
        "description": "An error: faults by field, or `detail` and `code`.",
        "content": {"application/json": {"schema": {"type": "object"}}},
    }


def render() -> bytes:
    """The document as text that reads and diffs well."""
    return orjson.dumps(document(), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(render())
