"""From what a client sent to a ``Manifest``, or to every fault with its path.

Three passes, each trusting the one before: values that can be stored, the schema, the rules across fields.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any, cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from assay.core.suites.manifest.errors import Fault, ManifestError
from assay.core.suites.manifest.rules import rule_faults
from assay.core.suites.manifest.schema import Manifest
from assay.kit.json import canonical_bytes
from assay.kit.storable import Path, find_unstorable, render_path

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32
_MAX_FAULTS = 200

_REASONS = {
    "missing": "is required",
    "extra_forbidden": "unknown field; check its spelling or remove it",
    "union_tag_not_found": "needs a 'type'",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "tuple_type": "must be a list",
}


def parse_manifest(data: Any) -> Manifest:
    """Read a manifest.

    Args:
        data: A manifest as a JSON or YAML parser returns it. It is not changed, and it is what should be stored.

    Raises:
        ManifestError: With the path of each fault.
    """
    _raise_if_any(Fault(render_path(fault.path), fault.reason) for fault in find_unstorable(data, max_depth=MAX_DEPTH))
    size = len(canonical_bytes(data))
    if size > MAX_BYTES:
        raise ManifestError([Fault("", f"{size:,} bytes of JSON exceed {MAX_BYTES:,}; move data into dataset files")])
    try:
        manifest = Manifest.model_validate(data)
    except ValidationError as exc:
        raise ManifestError(_schema_faults(exc, data)) from exc
    _raise_if_any(rule_faults(manifest))
    return manifest


def _raise_if_any(faults: Iterable[Fault]) -> None:
    found = list(islice(faults, _MAX_FAULTS))
    if found:
        raise ManifestError(found)


def _schema_faults(error: ValidationError, data: Any) -> list[Fault]:
    details = error.errors(include_url=False, include_input=False)
    # A list whose entries are faulty is also reported as too short, since no entry of it is left.
    faulty_inside = {detail["loc"][:depth] for detail in details for depth in range(len(detail["loc"]))}
    return [
        Fault(render_path(_place(detail, data)), _reason(detail))
        for detail in details
        if not (detail["type"] == "too_short" and detail["loc"] in faulty_inside)
    ]


def _place(detail: ErrorDetails, data: Any) -> Path:
    path = _real_path(detail["loc"], data, missing=detail["type"] == "missing")
    return (*path, "type") if detail["type"] == "union_tag_invalid" else path


def _reason(detail: ErrorDetails) -> str:
    bounds = detail.get("ctx", {})
    match detail["type"]:
        case "too_short":
            return f"has {bounds['actual_length']} entries; at least {bounds['min_length']} needed"
        case "union_tag_invalid":
            return f"must be one of {bounds['expected_tags']}"
        case kind if kind in _REASONS:
            return _REASONS[kind]
        case _:
            text = (
                detail["msg"]
                .replace("Input should", "must")
                .replace("String should", "must")
                .removeprefix("Value error, ")
            )
            return text[0].lower() + text[1:]


def _real_path(location: Path, data: Any, *, missing: bool) -> Path:
    """Drop the steps that Pydantic adds for the member of a union: they name no place in the data."""
    path: list[str | int] = []
    place = data
    for position, step in enumerate(location):
        is_last = position == len(location) - 1
        if isinstance(place, dict) and step in place:
            place = cast("dict[str | int, Any]", place)[step]
        elif isinstance(place, list) and isinstance(step, int) and step < len(cast("list[Any]", place)):
            place = cast("list[Any]", place)[step]
        elif not (missing and is_last):
            continue
        path.append(step)
    return tuple(path)
