"""How an evaluator's verdicts moved: pass rates day by day, over its newest entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.evaluators.service import find_evaluator
from assay.core.evaluators.types import Definition, OutputKind
from assay.core.projects.types import Principal, Scope

MAX_ENTRIES = 20_000
"""Newest verdicts that are looked at."""


@dataclass(frozen=True, slots=True)
class DayOfVerdicts:
    """The verdicts of a day (UTC)."""

    day: date
    scored: int
    passed: int | None
    """None where nothing says what passes."""
    mean: float | None
    """Of numeric verdicts and of sentiment's confidence."""


async def daily_verdicts(session: AsyncSession, principal: Principal, evaluator_id: UUID) -> Sequence[DayOfVerdicts]:
    """An evaluator's verdicts by day, oldest first.

    Raises:
        EvaluatorNotFoundError: The caller has no such evaluator.
    """
    principal.require(Scope.EVALUATION_READ)
    evaluator = await find_evaluator(session, principal, evaluator_id)
    values: dict[str, Any] = {"evaluator_id": evaluator_id, "most": MAX_ENTRIES, **_rule(evaluator.definition)}
    found = await session.execute(_DAYS, values)
    return [DayOfVerdicts(row.day, row.scored, row.passed if values["rule"] else None, row.mean) for row in found]


def passes(definition: Definition, result: Mapping[str, Any] | None) -> bool | None:
    """Whether a verdict passes by its evaluator's rule; None where nothing says so."""
    if result is None or result.get("applicable") is False:
        return None
    config = definition.output_config
    rule: Mapping[str, Any] | None = config.get("passing_rule")
    match definition.output_kind:
        case OutputKind.BOOLEAN if result.get("verdict") is not None:
            return bool(result["verdict"]) is not bool(config.get("true_is_failure"))
        case OutputKind.NUMERIC if rule and result.get("score") is not None:
            over = result["score"] >= rule["threshold"]
            return over if rule["operator"] == "gte" else result["score"] <= rule["threshold"]
        case OutputKind.CATEGORICAL if rule and result.get("categories") is not None:
            return bool(set(rule["categories"]) & set(result["categories"]))
        case _:
            return None


def _rule(definition: Definition) -> dict[str, Any]:
    """What passes, for the database."""
    config = definition.output_config
    rule: Mapping[str, Any] = config.get("passing_rule") or {}
    values: dict[str, Any] = {"rule": "", "good": True, "threshold": 0.0, "categories": []}
    match definition.output_kind:
        case OutputKind.BOOLEAN:
            values |= {"rule": "boolean", "good": not config.get("true_is_failure")}
        case OutputKind.NUMERIC if rule:
            values |= {"rule": rule["operator"], "threshold": float(rule["threshold"])}
        case OutputKind.CATEGORICAL if rule:
            values |= {"rule": "categories", "categories": list(rule["categories"])}
        case _:
            pass
    return values


_DAYS = text("""
    SELECT CAST(finished_at AT TIME ZONE 'UTC' AS date) AS day, count(*) AS scored,
           count(*) FILTER (WHERE CASE CAST(:rule AS text)
               WHEN 'boolean' THEN result->'verdict' = to_jsonb(CAST(:good AS boolean))
               WHEN 'gte' THEN CAST(result->>'score' AS double precision) >= CAST(:threshold AS double precision)
               WHEN 'lte' THEN CAST(result->>'score' AS double precision) <= CAST(:threshold AS double precision)
               WHEN 'categories' THEN jsonb_exists_any(result->'categories', CAST(:categories AS text[]))
               ELSE false END) AS passed,
           avg(CASE WHEN jsonb_typeof(result->'score') = 'number'
               THEN CAST(result->>'score' AS double precision) END) AS mean
    FROM (
        SELECT finished_at, result FROM online_evaluations
        WHERE evaluator_id = :evaluator_id AND outcome = 'scored' AND finished_at IS NOT NULL
        ORDER BY id DESC LIMIT :most
    ) AS newest
    GROUP BY 1 ORDER BY 1
""")
