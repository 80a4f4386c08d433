"""Which events an evaluation fires for (contract §3.2): sets of filters, tried in order, each with a sampling rate.

A set that matches but samples the event out does not end the search. The first that matches and samples it in fires.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from assay.scoring.online.events import GENERATION, Event
from assay.scoring.online.operators import FilterError, holds

ExpressionTest = Callable[[str, Mapping[str, Any]], object]
"""Evaluates a filter of type ``hogql``: its text and the variables it sees; only ``True`` matches."""

_SHOWN_CHARACTERS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class PropertyFilter:
    """One test of an event."""

    key: str
    value: Any = None
    operator: str = "exact"
    type: str = "event"

    @property
    def sees_person(self) -> bool:
        """Whether it looks, or may look, at what is known of the person."""
        return self.type in {"person", "hogql"}

    @classmethod
    def from_wire(cls, data: Mapping[str, Any]) -> PropertyFilter:
        """A filter as it is stored; absent or null fields have their defaults."""
        return cls(
            key=str(data.get("key", "")),
            value=data.get("value"),
            operator=str(data.get("operator") or "exact"),
            type=str(data.get("type") or "event"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A set of filters that must all hold."""

    id: str
    rollout_percentage: float = 100.0
    properties: Sequence[PropertyFilter] = ()

    @classmethod
    def from_wire(cls, data: Mapping[str, Any]) -> Condition:
        """A condition as it is stored."""
        rollout = data.get("rollout_percentage")
        filters = cast("list[Any]", data.get("properties") or [])
        return cls(
            id=str(data.get("id", "")),
            rollout_percentage=100.0 if rollout is None else float(rollout),
            properties=[
                PropertyFilter.from_wire(cast("Mapping[str, Any]", item))
                for item in filters
                if isinstance(item, Mapping)
            ],
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether an evaluation fires for an event, and why not."""

    fires: bool
    condition_id: str | None = None
    """The set that fired."""
    sampled_out: bool = False
    """Whether a set matched and only sampling kept it from firing."""
    problems: tuple[str, ...] = ()
    """Filters that could not be evaluated, and so did not match."""


def decide(
    event: Event,
    conditions: Sequence[Condition],
    *,
    now: datetime,
    sampling_key: str | None = None,
    evaluate_expression: ExpressionTest | None = None,
    ignore_rollout: bool = False,
) -> Decision:
    """Whether an evaluation fires for an event.

    Args:
        event: Only generations fire.
        conditions: In their order; none means never.
        now: Where relative dates count from.
        sampling_key: Id of the trace or session for such targets; the event's uuid by default.
        evaluate_expression: For filters of type ``hogql``; without it they never match.
        ignore_rollout: Whether every match fires, as in previews.
    """
    if event.event != GENERATION:
        return Decision(False)
    key = event.uuid if sampling_key is None else sampling_key
    problems: list[str] = []
    sampled_out = False
    for condition in conditions:
        if not all(_matches(item, event, now, evaluate_expression, problems) for item in condition.properties):
            continue
        if ignore_rollout or is_sampled(key, condition.rollout_percentage):
            return Decision(True, condition.id, problems=tuple(problems))
        sampled_out = True
    return Decision(False, sampled_out=sampled_out, problems=tuple(problems))


def sampling_percentage(key: str) -> float:
    """Where a key stands between 0 and 99.99: the first 8 hex digits of its MD5, modulo 10,000, over 100."""
    digest = hashlib.md5(key.encode(), usedforsecurity=False).hexdigest()
    return int(digest[:8], 16) % 10_000 / 100


def is_sampled(key: str, rollout_percentage: float) -> bool:
    """Whether a key is among the given percentage."""
    return rollout_percentage >= 100 or sampling_percentage(key) < rollout_percentage


def _matches(
    item: PropertyFilter,
    event: Event,
    now: datetime,
    evaluate_expression: ExpressionTest | None,
    problems: list[str],
) -> bool:
    try:
        match item.type:
            case "event":
                return holds(item.operator, event.properties.get(item.key), item.value, now)
            case "person":
                return holds(item.operator, (event.person_properties or {}).get(item.key), item.value, now)
            case "hogql" if evaluate_expression is not None:
                return evaluate_expression(item.key, expression_variables(event)) is True
            case _:
                raise FilterError(f"filters of type `{item.type}` are not supported")
    except FilterError as exc:
        problems.append(f"{item.key[:_SHOWN_CHARACTERS]}: {exc}")
        return False


def expression_variables(event: Event) -> dict[str, Any]:
    """What a ``hogql`` filter sees."""
    return {
        "event": event.event,
        "distinct_id": event.distinct_id,
        "properties": dict(event.properties),
        "person": {"properties": dict(event.person_properties or {})},
    }
