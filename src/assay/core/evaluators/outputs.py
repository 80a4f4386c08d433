"""What a verdict may be: the configuration of each kind of output, checked and with every key filled in (P§3.1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from assay.core.evaluators.errors import DefinitionError
from assay.core.evaluators.types import OutputKind

MAX_OPTIONS = 200
MAX_KEY_CHARACTERS = 128
MAX_LABEL_CHARACTERS = 256

_OPTION_KEY = re.compile(r"[a-z0-9]+(?:[_-][a-z0-9]+)*", re.ASCII)
_BOUNDS = ("min", "max", "step")
_KEYS: dict[OutputKind, frozenset[str]] = {
    OutputKind.BOOLEAN: frozenset({"allows_na", "true_is_failure"}),
    OutputKind.NUMERIC: frozenset({*_BOUNDS, "allows_na", "passing_rule"}),
    OutputKind.CATEGORICAL: frozenset({"options", "selection_mode", "allows_na", "passing_rule"}),
}
_KNOWN = frozenset[str]().union(*_KEYS.values())


def normalize_output(kind: OutputKind, config: Mapping[str, Any]) -> dict[str, Any]:
    """An output's configuration with every key of its kind.

    Keys that no kind knows are dropped; those of another kind are refused, since they show a misunderstanding.

    Raises:
        DefinitionError: At ``output_config``.
    """
    if kind is OutputKind.SENTIMENT:
        return {}
    foreign = sorted((config.keys() & _KNOWN) - _KEYS[kind])
    if foreign:
        raise _fault(f"`{foreign[0]}` does not belong to a {kind.value} output.")
    return _NORMALIZERS[kind](config)


def _fault(message: str) -> DefinitionError:
    return DefinitionError("output_config", message)


def _boolean(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _flag(config, name) for name in ("allows_na", "true_is_failure")}


def _numeric(config: Mapping[str, Any]) -> dict[str, Any]:
    low, high, step = (_number(config.get(name), name) for name in _BOUNDS)
    if low is not None and high is not None and low > high:
        raise _fault("`min` is above `max`.")
    if step is not None and step <= 0:
        raise _fault("`step` must be above 0.")
    return {
        "min": low,
        "max": high,
        "step": step,
        "allows_na": _flag(config, "allows_na"),
        "passing_rule": _threshold_rule(config.get("passing_rule"), low, high),
    }


def _categorical(config: Mapping[str, Any]) -> dict[str, Any]:
    options = _options(config.get("options"))
    mode = config.get("selection_mode", "single")
    if mode not in ("single", "multiple"):
        raise _fault("`selection_mode` must be `single` or `multiple`.")
    return {
        "options": options,
        "selection_mode": mode,
        "allows_na": _flag(config, "allows_na"),
        "passing_rule": _category_rule(config.get("passing_rule"), {option["key"] for option in options}),
    }


_NORMALIZERS: dict[OutputKind, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    OutputKind.BOOLEAN: _boolean,
    OutputKind.NUMERIC: _numeric,
    OutputKind.CATEGORICAL: _categorical,
}


def _flag(config: Mapping[str, Any], name: str) -> bool:
    value = config.get(name, False)
    if not isinstance(value, bool):
        raise _fault(f"`{name}` must be true or false.")
    return value


def _number(value: Any, name: str) -> int | float | None:
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise _fault(f"`{name}` must be a number or null.")


def _threshold_rule(rule: Any, low: float | None, high: float | None) -> dict[str, Any] | None:
    if rule is None:
        return None
    fields = _object(rule, "passing_rule")
    operator, threshold = fields.get("operator"), _number(fields.get("threshold"), "passing_rule.threshold")
    if operator not in ("gte", "lte"):
        raise _fault("`passing_rule.operator` must be `gte` or `lte`.")
    if threshold is None:
        raise _fault("`passing_rule.threshold` is missing.")
    if (low is not None and threshold < low) or (high is not None and threshold > high):
        raise _fault("`passing_rule.threshold` must lie between `min` and `max`.")
    return {"operator": operator, "threshold": threshold}


def _category_rule(rule: Any, keys: set[str]) -> dict[str, Any] | None:
    if rule is None:
        return None
    chosen = _object(rule, "passing_rule").get("categories")
    if not isinstance(chosen, list) or not chosen:
        raise _fault("`passing_rule.categories` must be a list of at least one option's key.")
    chosen = cast("list[Any]", chosen)
    for key in chosen:
        if not isinstance(key, str) or key not in keys:
            raise _fault(f"`passing_rule.categories` names `{str(key)[:64]}`, which is no option.")
    return {"categories": list(dict.fromkeys(chosen))}


def _options(value: Any) -> list[dict[str, str]]:
    if not isinstance(value, list) or not value:
        raise _fault("`options` must be a list of at least one `{key, label}`.")
    items = cast("list[Any]", value)
    if len(items) > MAX_OPTIONS:
        raise _fault(f"`options` has {len(items)} entries; at most {MAX_OPTIONS} are allowed.")
    options = [_option(item, f"options[{index}]") for index, item in enumerate(items)]
    if len({option["key"] for option in options}) != len(options):
        raise _fault("Two `options` have the same key.")
    return options


def _option(value: Any, place: str) -> dict[str, str]:
    fields = _object(value, place)
    key, label = fields.get("key"), fields.get("label")
    if not isinstance(key, str) or len(key) > MAX_KEY_CHARACTERS or not _OPTION_KEY.fullmatch(key):
        raise _fault(
            f"`{place}.key` must be 1 to {MAX_KEY_CHARACTERS} lower-case letters and digits, in groups that are joined "
            "by single `_` or `-`."
        )
    if not isinstance(label, str) or not 1 <= len(label) <= MAX_LABEL_CHARACTERS:
        raise _fault(f"`{place}.label` must have 1 to {MAX_LABEL_CHARACTERS} characters.")
    return {"key": key, "label": label}


def _object(value: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _fault(f"`{place}` must be an object.")
    return cast("Mapping[str, Any]", value)
