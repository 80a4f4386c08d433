"""How a reply is to be generated: the wire's loose mapping becomes one checked, hashable object.

Callers store what a client sent and resolve it here when they execute. Aliases resolve as follows:
``max_output_tokens`` wins over ``max_gen_toks``; ``stop`` and ``until`` are united; ``do_sample=false`` means
temperature 0 unless a temperature is given. A null is the same as an absent field.

No field is dropped: each is sent upstream, used by the gateway, or refused. What a model's API cannot express is
refused when the request is built, with ``UnsupportedParameterError``.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, cast

from assay.kit.errors import InvalidError
from assay.kit.json import canonical_bytes

DEFAULT_TIMEOUT_SECONDS = 120.0
DEFAULT_MAX_RETRIES = 5
MAX_STOP_SEQUENCES = 64

_POLICY_FIELDS = frozenset({"use_cache", "timeout_seconds", "max_retries", "max_empty_retries", "fingerprint"})
"""Fields that say how to ask, not what; they do not change which reply is right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """Resolved generation parameters. None leaves a choice to the provider.

    Build it once for many requests: the gateway translates each distinct object only once.
    """

    instructions: str | None = None
    """System prompt, put before the messages."""
    temperature: float | None = None
    top_p: float | None = None
    min_p: float | None = None
    top_k: int | None = None
    repetition_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    max_output_tokens: int | None = None
    stop: tuple[str, ...] = ()
    """Also enforced on the output: the reply ends before the first of them."""
    max_tool_calls: int | None = None
    reasoning: Mapping[str, Any] | None = None
    """Responses form: ``{"effort": …, "summary": …}``."""
    text: Mapping[str, Any] | None = None
    """Responses form: ``{"format": …, "verbosity": …}``."""
    tools: tuple[Mapping[str, Any], ...] = ()
    """Responses form: ``{"type": "function", "name": …, "parameters": …}``; the chat form is understood too."""
    tool_choice: str | Mapping[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    truncation: str | None = None
    service_tier: str | None = None
    extra_body: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Merged last into the provider's request body, as it stands."""
    chat_template_kwargs: Mapping[str, Any] | None = None
    prefill_think: str | None = None
    """Text that the reply is made to begin with; what follows up to ``</think>`` is reasoning."""
    use_cache: bool = True
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    """Of one attempt."""
    max_retries: int = DEFAULT_MAX_RETRIES
    """Further attempts after faults. Rate limits are waited out without counting, unless this is 0."""
    max_empty_retries: int = 0
    """Further calls when the reply is blank."""
    fingerprint: bytes = field(init=False, repr=False, compare=False)
    """SHA-256 over everything that bears on the reply."""

    def __post_init__(self) -> None:
        content = {name: getattr(self, name) for name in _CONTENT_FIELDS}
        object.__setattr__(self, "fingerprint", hashlib.sha256(canonical_bytes(content)).digest())

    def __hash__(self) -> int:
        return hash(self.fingerprint)


_CONTENT_FIELDS = tuple(item.name for item in fields(Generation) if item.name not in _POLICY_FIELDS)

DEFAULT_GENERATION = Generation()


def resolve_generation(config: Mapping[str, Any]) -> Generation:
    """Check a generation config and resolve its aliases.

    Args:
        config: Fields of the wire's ``GenerationConfig``, any of them absent or null.

    Raises:
        InvalidError: ``param`` names the faulty field, as ``generation.<field>``.
    """
    given = {name: value for name, value in config.items() if value is not None}
    for name in given:
        if name not in _CHECKS:
            raise _fault(name, "is not known; put parameters of your provider into extra_body")
    values: dict[str, Any] = {name: _CHECKS[name](name, value) for name, value in given.items()}
    max_gen_toks = values.pop("max_gen_toks", None)
    if "max_output_tokens" not in values and max_gen_toks is not None:
        values["max_output_tokens"] = max_gen_toks
    stop = dict.fromkeys((*values.pop("stop", ()), *values.pop("until", ())))
    do_sample = values.pop("do_sample", True)
    if not do_sample:
        values.setdefault("temperature", 0.0)
    return Generation(stop=tuple(stop), **values)


def _fault(name: str, problem: str) -> InvalidError:
    return InvalidError(f"generation.{name} {problem}.", param=f"generation.{name}")


def _number(low: float, high: float, *, open_low: bool = False) -> Callable[[str, Any], float]:
    def check(name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise _fault(name, f"must be a number, not {value!r:.60}")
        if value < low or value > high or (open_low and value == low):
            raise _fault(
                name, f"is {value}; it must be {'above' if open_low else 'at least'} {low:g} and at most {high:g}"
            )
        return float(value)

    return check


def _integer(low: int, high: int) -> Callable[[str, Any], int]:
    def check(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise _fault(name, f"must be an integer, not {value!r:.60}")
        if not low <= value <= high:
            raise _fault(name, f"is {value}; it must be from {low} to {high}")
        return value

    return check


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _fault(name, f"must be text, not {value!r:.60}")
    return cast(str, _json(name, value))


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _fault(name, f"must be true or false, not {value!r:.60}")
    return value


def _one_of(*allowed: str) -> Callable[[str, Any], str]:
    def check(name: str, value: Any) -> str:
        if value not in allowed:
            raise _fault(name, f"must be one of {', '.join(allowed)}, not {value!r:.60}")
        return cast(str, value)

    return check


def _json(name: str, value: Any) -> Any:
    try:
        canonical_bytes(value)
    except TypeError as exc:
        raise _fault(name, f"is not JSON: {exc}") from exc
    return value


def _mapping(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _fault(name, f"must be an object, not {value!r:.60}")
    return cast("Mapping[str, Any]", _json(name, dict(cast("Mapping[str, Any]", value))))


def _extra_body(name: str, value: Any) -> Mapping[str, Any]:
    body = _mapping(name, value)
    if body.get("stream"):
        raise _fault(f"{name}.stream", "is not possible: replies are read whole")
    return body


def _stops(name: str, value: Any) -> tuple[str, ...]:
    items = list(cast("list[Any]", value)) if isinstance(value, list | tuple) else [value]
    if not all(isinstance(item, str) and item for item in items):
        raise _fault(name, "must be a text or a list of texts, none of them empty")
    if len(items) > MAX_STOP_SEQUENCES:
        raise _fault(name, f"has {len(items)} entries; at most {MAX_STOP_SEQUENCES} are allowed")
    return tuple(_json(name, items))


def _tools(name: str, value: Any) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(value, list | tuple):
        raise _fault(name, "must be a list of tools")
    return tuple(_mapping(name, item) for item in cast("list[Any]", value))


def _tool_choice(name: str, value: Any) -> str | Mapping[str, Any]:
    return _text(name, value) if isinstance(value, str) else _mapping(name, value)


def _prefill(name: str, value: Any) -> str | None:
    if isinstance(value, bool):
        return "<think>\n" if value else None
    return _text(name, value)


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "instructions": _text,
    "temperature": _number(0, 2),
    "top_p": _number(0, 1),
    "min_p": _number(0, 1),
    "top_k": _integer(-1, 1_000_000),
    "repetition_penalty": _number(0, 100, open_low=True),
    "presence_penalty": _number(-2, 2),
    "frequency_penalty": _number(-2, 2),
    "max_output_tokens": _integer(1, 10_000_000),
    "max_gen_toks": _integer(1, 10_000_000),
    "stop": _stops,
    "until": _stops,
    "do_sample": _flag,
    "max_tool_calls": _integer(1, 300),
    "reasoning": _mapping,
    "text": _mapping,
    "tool_choice": _tool_choice,
    "tools": _tools,
    "parallel_tool_calls": _flag,
    "truncation": _one_of("auto", "disabled"),
    "service_tier": _one_of("auto", "default", "flex", "priority"),
    "extra_body": _extra_body,
    "chat_template_kwargs": _mapping,
    "prefill_think": _prefill,
    "use_cache": _flag,
    "timeout_seconds": _number(0, 3600, open_low=True),
    "max_retries": _integer(0, 100),
    "max_empty_retries": _integer(0, 100),
}
