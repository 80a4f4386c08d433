"""Messages out of span attributes: as JSON text, or spread over numbered keys (``gen_ai.prompt.0.role``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import orjson

MAX_NUMBER = 10_000
"""Numbers in keys above this are no positions."""
MAX_STEPS = 12
"""Parts of a key after its prefix; what follows stays one part."""


def structured(value: Any) -> Any:
    """The value inside JSON text, where it is an object or a list; anything else as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return orjson.loads(value)
        except ValueError:
            return value
    if isinstance(value, list):
        return [structured(item) for item in cast("list[Any]", value)]
    return value


def unflatten(attributes: Mapping[str, Any], prefix: str) -> Any:
    """What is spread over the keys that begin with ``prefix.``, as objects and lists; None where there are none.

    ``{"p.0.a.b": 1, "p.1.a": 2}`` is ``[{"a": {"b": 1}}, {"a": 2}]`` for the prefix ``p``.
    """
    root: dict[str, Any] = {}
    start = f"{prefix}."
    for key, value in attributes.items():
        if key.startswith(start):
            _put(root, key.removeprefix(start).split(".", MAX_STEPS), value)
    return _listed(root) if root else None


def _put(root: dict[str, Any], path: list[str], value: Any) -> None:
    for step in path[:-1]:
        inner = root.setdefault(step, {})
        if not isinstance(inner, dict):
            return
        root = cast("dict[str, Any]", inner)
    root.setdefault(path[-1], value)


def _listed(value: Any) -> Any:
    """Objects whose keys are numbers, as lists in their order."""
    if not isinstance(value, dict):
        return value
    fields = {key: _listed(inner) for key, inner in cast("dict[str, Any]", value).items()}
    if all(key.isascii() and key.isdecimal() and len(key) <= len(str(MAX_NUMBER)) for key in fields):
        return [fields[key] for key in sorted(fields, key=int)]
    return fields


def as_list(value: Any) -> list[Any]:
    """The items of a list; anything else but nothing is a list of itself."""
    if value is None:
        return []
    return cast("list[Any]", value) if isinstance(value, list) else [value]


def mapping(value: Any) -> Mapping[str, Any]:
    """The object, or an empty one in place of anything else."""
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}
