"""When an evaluator fires (P§3.2): sets of filters with a sampling rate each, checked and with every key filled in.

Filters are kept as they were sent. One that cannot be evaluated never matches, and says so when it is tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from assay.core.evaluators.errors import DefinitionError
from assay.kit.ids import new_id

MAX_CONDITIONS = 100
MAX_FILTERS = 100
MAX_ID_CHARACTERS = 100


def normalize_conditions(conditions: Sequence[Any]) -> list[dict[str, Any]]:
    """Conditions with every key and no other.

    Raises:
        DefinitionError: At ``conditions`` or ``conditions[<index>].<field>``.
    """
    if len(conditions) > MAX_CONDITIONS:
        raise DefinitionError("conditions", f"At most {MAX_CONDITIONS} conditions are allowed.")
    return [_condition(value, f"conditions[{index}]") for index, value in enumerate(conditions)]


def _condition(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise DefinitionError(place, "A condition must be an object.")
    fields = cast("Mapping[str, Any]", value)
    return {
        "id": _id(fields.get("id"), f"{place}.id"),
        "rollout_percentage": _percentage(fields.get("rollout_percentage", 100), f"{place}.rollout_percentage"),
        "properties": _filters(fields.get("properties", []), f"{place}.properties"),
    }


def _id(value: Any, place: str) -> str:
    if value is None:
        return str(new_id())
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_ID_CHARACTERS:
        raise DefinitionError(place, f"An id must be a text of 1 to {MAX_ID_CHARACTERS} characters.")
    return value


def _percentage(value: Any, place: str) -> int | float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 100:
        raise DefinitionError(place, "Give a number from 0 to 100.")
    return value


def _filters(value: Any, place: str) -> list[Any]:
    if not isinstance(value, list):
        raise DefinitionError(place, "Give a list of filters.")
    filters = cast("list[Any]", value)
    if len(filters) > MAX_FILTERS:
        raise DefinitionError(place, f"At most {MAX_FILTERS} filters are allowed.")
    if not all(isinstance(item, Mapping) for item in filters):
        raise DefinitionError(place, "Each filter must be an object.")
    return filters
