"""Evaluators: the list, one with its pass rate and ledger, and the form in which one is tried before it is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from starlette.responses import Response

from assay.core.evaluators import keys, service
from assay.core.evaluators.types import (
    Evaluator,
    EvaluatorKind,
    EvaluatorQuery,
    EvaluatorValues,
    KeyProvider,
    ModelChoice,
    OutputKind,
    TargetKind,
)
from assay.core.online import backfills, budgets, trends
from assay.core.online import service as online
from assay.core.online.judge_preview import JudgeTrial, prepare_judge, try_judge
from assay.core.online.preview import PreviewRequest, prepare_preview, run_preview
from assay.core.online.types import BackfillScope, EntryQuery, Outcome, State, Summary
from assay.core.projects.types import Scope
from assay.db.slices import Slice
from assay.dialects.edge.state import give_back
from assay.kit.clock import utc_now
from assay.kit.errors import DomainError
from assay.scoring.online import event_input, event_output, preview
from assay.scoring.statistics import wilson_interval
from assay.ui.charts import Part, Point
from assay.ui.edge import FieldError, Pages, Visit, read_uuid
from assay.ui.pages.datasets import read_offset
from assay.ui.pages.runs import read_count
from assay.ui.pages.traffic import as_judged

PAGE = 50
ENTRIES = 50
TRIALS = 5
BACKFILLS = 10
MAX_DAYS = 3650
OUTCOME_TONES = {
    Outcome.SCORED: "good",
    Outcome.NOT_APPLICABLE: "info",
    Outcome.SKIPPED: "warn",
    Outcome.SAMPLED_OUT: "off",
    Outcome.OVER_BUDGET: "warn",
    Outcome.FAILED: "bad",
}
pages = Pages()


@dataclass(frozen=True, slots=True)
class TrialRow:
    """What an evaluator that is not kept yet said of an event."""

    event_id: str
    given: str
    said: str
    verdict: str
    reasoning: str
    error: str | None
    cost_usd: Decimal | None = None


@pages.get("/evaluators", Scope.EVALUATION_READ)
async def list_evaluators(visit: Visit) -> Response:
    """Evaluators, newest first."""
    found = await service.list_evaluators(
        visit.session,
        visit.principal,
        EvaluatorQuery(search=visit.query("search") or ""),
        Slice(PAGE, read_offset(visit)),
    )
    summaries = {
        one.id: (await online.summarize(visit.session, visit.principal, one.id))[0] for one in found.rows[:PAGE]
    }
    return await visit.render(
        "evaluators.html",
        evaluators=found.rows,
        total=found.count,
        shares={one: as_parts(summary) for one, summary in summaries.items()},
        search=visit.query("search") or "",
        budget=await budgets.read_budget(visit.session, visit.principal, None),
    )


@pages.get("/evaluators/new", Scope.EVALUATION_WRITE)
async def ask_for_evaluator(visit: Visit) -> Response:
    """The form for a new evaluator."""
    kind = visit.query("kind") or EvaluatorKind.HOG.value
    values = {"kind": kind, "source": "return not empty(trim(output))", "rollout": "100", "output_kind": "boolean"}
    return await _show_form(visit, values=values)


@pages.post("/evaluators/try", Scope.EVALUATION_READ)
async def try_evaluator(visit: Visit) -> Response:
    """Try what the form says on the newest model calls. Nothing is kept."""
    values = _texts(visit)
    try:
        trials = await (_try_judge(visit) if visit.field("kind") == EvaluatorKind.LLM_JUDGE.value else _try_hog(visit))
    except DomainError as error:
        return await _show_form(visit, values=values, error=error, evaluator=await _edited(visit))
    return await _show_form(visit, values=values, trials=trials, evaluator=await _edited(visit))


@pages.post("/evaluators", Scope.EVALUATION_WRITE)
async def create_evaluator(visit: Visit) -> Response:
    """Keep an evaluator."""
    try:
        async with visit.session.begin_nested():
            made = await service.create_evaluator(
                visit.session, visit.principal, _read_values(visit), visit.state.judges
            )
    except DomainError as error:
        return await _show_form(visit, values=_texts(visit), error=error)
    return visit.go(f"/evaluators/{made.id.hex}", f"{made.name} is kept{'.' if made.enabled else ', and off.'}")


@pages.get("/evaluators/{evaluator_id}", Scope.EVALUATION_READ)
async def show_evaluator(visit: Visit) -> Response:
    """One evaluator: how often things pass, and what became of each event."""
    evaluator = await service.find_evaluator(visit.session, visit.principal, visit.path_id("evaluator_id"))
    summary, breaker = await online.summarize(visit.session, visit.principal, evaluator.id)
    days = await trends.daily_verdicts(visit.session, visit.principal, evaluator.id)
    wanted = _read_entry_query(visit, evaluator.id)
    entries = await online.list_entries(
        visit.session, visit.principal, wanted, before_id=visit.query_id("after"), limit=ENTRIES + 1
    )
    values: dict[str, Any] = {
        "evaluator": evaluator,
        "judged": [as_judged(entry, {evaluator.id: evaluator}) for entry in entries[:ENTRIES]],
        "has_more": len(entries) > ENTRIES,
        "chosen": {"outcome": visit.query("outcome") or "", "reason": visit.query("reason") or ""},
    }
    if visit.request.headers.get("x-fragment") is not None:
        return visit.fragment("ledger_table.html", **values)
    return await visit.render(
        "evaluator.html",
        **values,
        summary=summary,
        breaker=breaker,
        shares=as_parts(summary),
        reasons=[tally for tally in summary.tallies if tally.reason is not None],
        rate=_as_points(days),
        outcomes=list(Outcome),
        budget=await budgets.read_budget(visit.session, visit.principal, evaluator.id),
        backfills=await backfills.list_backfills(visit.session, visit.principal, evaluator.id, limit=BACKFILLS),
    )


@pages.get("/evaluators/{evaluator_id}/backfills", Scope.EVALUATION_READ)
async def show_backfills(visit: Visit) -> Response:
    """How far the backfills are, for the script."""
    evaluator = await service.find_evaluator(visit.session, visit.principal, visit.path_id("evaluator_id"))
    found = await backfills.list_backfills(visit.session, visit.principal, evaluator.id, limit=BACKFILLS)
    return visit.fragment("backfills.html", evaluator=evaluator, backfills=found)


@pages.post("/evaluators/{evaluator_id}/backfills", Scope.EVALUATION_WRITE)
async def create_backfill(visit: Visit) -> Response:
    """Take an evaluator over model calls that are stored already."""
    evaluator_id = visit.path_id("evaluator_id")
    await online.check_evaluator(visit.session, visit.principal, evaluator_id)
    days, limit = read_count(visit, "days") or 7, read_count(visit, "limit") or 10_000
    now = utc_now()
    scope = BackfillScope(
        after=now - timedelta(days=min(days, MAX_DAYS)),
        before=now,
        apply_conditions=visit.field("apply_conditions") == "yes",
        limit=limit,
    )
    await backfills.create_backfill(visit.session, visit.principal, evaluator_id, scope)
    return visit.go(f"/evaluators/{evaluator_id.hex}", "Stored model calls are being judged.")


@pages.post("/evaluators/{evaluator_id}/backfills/{backfill_id}/cancel", Scope.EVALUATION_WRITE)
async def cancel_backfill(visit: Visit) -> Response:
    """Stop a backfill; what is under way goes on."""
    evaluator_id = visit.path_id("evaluator_id")
    await backfills.cancel_backfill(visit.session, visit.principal, evaluator_id, visit.path_id("backfill_id"))
    return visit.go(f"/evaluators/{evaluator_id.hex}", "The backfill is cancelled.")


@pages.get("/evaluators/{evaluator_id}/edit", Scope.EVALUATION_WRITE)
async def ask_for_changes(visit: Visit) -> Response:
    """The form with what the evaluator is now."""
    evaluator = await service.find_evaluator(visit.session, visit.principal, visit.path_id("evaluator_id"))
    return await _show_form(visit, values=_as_fields(evaluator), evaluator=evaluator)


@pages.post("/evaluators/{evaluator_id}", Scope.EVALUATION_WRITE)
async def update_evaluator(visit: Visit) -> Response:
    """Change an evaluator."""
    evaluator_id = visit.path_id("evaluator_id")
    try:
        async with visit.session.begin_nested():
            row = await service.lock_evaluator(visit.session, visit.principal, evaluator_id)
            values = _read_values(visit)
            values["output_config"] = service.merged_output(
                row, values.get("output_config", {}), values.get("output_kind")
            )
            await service.update_evaluator(visit.session, visit.principal, row, values, visit.state.judges)
    except DomainError as error:
        evaluator = await service.find_evaluator(visit.session, visit.principal, evaluator_id)
        return await _show_form(visit, values=_texts(visit), evaluator=evaluator, error=error)
    return visit.go(f"/evaluators/{evaluator_id.hex}", "The evaluator is changed.")


@pages.post("/evaluators/{evaluator_id}/enabled", Scope.EVALUATION_WRITE)
async def switch_evaluator(visit: Visit) -> Response:
    """Turn an evaluator on or off."""
    evaluator_id, enabled = visit.path_id("evaluator_id"), visit.field("enabled") == "yes"
    row = await service.lock_evaluator(visit.session, visit.principal, evaluator_id)
    values = EvaluatorValues(enabled=enabled)
    await service.update_evaluator(visit.session, visit.principal, row, values, visit.state.judges)
    return visit.go(f"/evaluators/{evaluator_id.hex}", "It judges from now on." if enabled else "It is off.")


@pages.post("/evaluators/{evaluator_id}/delete", Scope.EVALUATION_WRITE)
async def delete_evaluator(visit: Visit) -> Response:
    """Delete an evaluator; its verdicts stay."""
    row = await service.lock_evaluator(visit.session, visit.principal, visit.path_id("evaluator_id"))
    await service.update_evaluator(
        visit.session, visit.principal, row, EvaluatorValues(deleted=True), visit.state.judges
    )
    return visit.go("/evaluators", "The evaluator is deleted.")


@pages.post("/evaluators/{evaluator_id}/budget", Scope.EVALUATION_WRITE)
async def set_budget(visit: Visit) -> Response:
    """What judging may cost in a day."""
    evaluator_id = visit.path_id("evaluator_id")
    await budgets.set_budget(
        visit.session,
        visit.principal,
        evaluator_id,
        max_usd_per_day=read_money(visit, "max_usd_per_day"),
        max_calls_per_day=read_count(visit, "max_calls_per_day"),
    )
    return visit.go(f"/evaluators/{evaluator_id.hex}", "The budget is set.")


async def _show_form(
    visit: Visit,
    *,
    values: dict[str, str],
    evaluator: Evaluator | None = None,
    trials: list[TrialRow] | None = None,
    error: DomainError | None = None,
) -> Response:
    found = ()
    if visit.may(Scope.PROVIDER_KEY_READ):
        found = (await keys.list_keys(visit.session, visit.principal, Slice(100, 0))).rows
    return await visit.render(
        "evaluator_form.html",
        status=200 if error is None else 422,
        values=values,
        evaluator=evaluator,
        trials=trials,
        error=error,
        keys=found,
        provider_choices=[(one.value, one.value.replace("_", " ")) for one in KeyProvider],
    )


async def _edited(visit: Visit) -> Evaluator | None:
    evaluator_id = read_uuid(visit.field("evaluator"))
    if evaluator_id is None:
        return None
    return await service.find_evaluator(visit.session, visit.principal, evaluator_id)


async def _try_hog(visit: Visit) -> list[TrialRow]:
    request = PreviewRequest(
        source=visit.field("source"),
        sample_count=TRIALS,
        output_kind=_read_output_kind(visit),
        output_config=_read_output_config(visit),
        target=TargetKind.GENERATION,
        target_config={},
    )
    prepared = await prepare_preview(visit.session, visit.principal, request)
    await give_back(visit.session)
    rows: list[TrialRow] = []
    for trial in await run_preview(visit.state.hog, prepared):
        given, said = trial.sample.previews
        verdict = trial.verdict
        shown = _say(verdict.applicable, verdict.result, verdict.score, verdict.categories)
        rows.append(TrialRow(trial.sample.id, given, said, shown, verdict.reasoning, verdict.error))
    return rows


async def _try_judge(visit: Visit) -> list[TrialRow]:
    prepared = await prepare_judge(
        visit.session,
        visit.principal,
        prompt=visit.field("prompt"),
        output_kind=_read_output_kind(visit),
        output_config=_read_output_config(visit),
        model=_read_model(visit),
        count=TRIALS,
        tools=visit.state.judges,
    )
    await give_back(visit.session)
    return [_as_row(trial) for trial in await try_judge(visit.state.respond, prepared)]


def _as_row(trial: JudgeTrial) -> TrialRow:
    seen, found = trial.event.for_scoring(), trial.judgement
    shown = "" if found is None else _say(found.applicable, found.passed, found.score, found.categories)
    return TrialRow(
        str(trial.event.uuid),
        preview(event_input(seen)),
        preview(event_output(seen)),
        shown,
        "" if found is None else found.reasoning,
        trial.error,
        trial.cost_usd,
    )


def _say(applicable: bool, verdict: bool | None, score: float | None, categories: Any) -> str:
    if not applicable:
        return "not applicable"
    if verdict is not None:
        return str(verdict).lower()
    return f"{score:g}" if score is not None else ", ".join(categories or ())


def _read_values(visit: Visit) -> EvaluatorValues:
    kind = _read_kind(visit)
    values = EvaluatorValues(
        name=visit.field("name"),
        description=visit.field("description"),
        enabled=visit.field("enabled") == "yes",
        kind=kind,
        config={},
        output_kind=OutputKind.SENTIMENT if kind is EvaluatorKind.SENTIMENT else _read_output_kind(visit),
        output_config={} if kind is EvaluatorKind.SENTIMENT else _read_output_config(visit),
        conditions=[{"id": "all", "rollout_percentage": _read_number(visit, "rollout") or 0, "properties": []}],
    )
    if not values.get("name"):
        raise FieldError("Give it a name.", param="name")
    if kind is EvaluatorKind.HOG:
        values["config"] = {"source": visit.field("source")}
    if kind is EvaluatorKind.LLM_JUDGE:
        values["config"] = {"prompt": visit.field("prompt")}
        values["model"] = _read_model(visit)
    return values


def _read_kind(visit: Visit) -> EvaluatorKind:
    text = visit.field("kind")
    if text not in set(EvaluatorKind):
        raise FieldError("Choose what judges.", param="kind")
    return EvaluatorKind(text)


def _read_output_kind(visit: Visit) -> OutputKind:
    text = visit.field("output_kind")
    if text not in {"boolean", "numeric", "categorical"}:
        raise FieldError("Choose the form of the verdict.", param="output_kind")
    return OutputKind(text)


def _read_output_config(visit: Visit) -> dict[str, Any]:
    config: dict[str, Any] = {"allows_na": visit.field("allows_na") == "yes"}
    match _read_output_kind(visit):
        case OutputKind.BOOLEAN:
            config["true_is_failure"] = visit.field("true_is_failure") == "yes"
        case OutputKind.NUMERIC:
            config |= {"min": _read_number(visit, "min"), "max": _read_number(visit, "max")}
            threshold = _read_number(visit, "threshold")
            if threshold is not None:
                config["passing_rule"] = {"operator": "gte", "threshold": threshold}
        case _:
            options = [line.strip() for line in visit.field("options").splitlines() if line.strip()]
            config["options"] = [{"key": option, "label": option} for option in options]
            good = [line.strip() for line in visit.field("passing").splitlines() if line.strip()]
            if good:
                config["passing_rule"] = {"categories": good}
    return config


def _read_model(visit: Visit) -> ModelChoice:
    provider, key_id = visit.field("provider"), read_uuid(visit.field("provider_key"))
    if provider not in set(KeyProvider):
        raise FieldError("Choose whose model judges.", param="provider")
    if not visit.field("judge_model"):
        raise FieldError("Name the model that judges.", param="judge_model")
    return ModelChoice(KeyProvider(provider), visit.field("judge_model"), key_id)


def _read_number(visit: Visit, name: str) -> float | None:
    text = visit.optional(name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        raise FieldError(f"`{name}` must be a number.", param=name) from None
    if value != value or abs(value) == float("inf"):
        raise FieldError(f"`{name}` must be a finite number.", param=name)
    return value


def read_money(visit: Visit, name: str) -> Decimal | None:
    """An amount in a form; None when the field is empty.

    Raises:
        FieldError: It is none.
    """
    text = visit.optional(name)
    if text is None:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise FieldError(f"`{name}` must be an amount.", param=name) from None
    if not value.is_finite() or not 0 <= value < 10**9:
        raise FieldError(f"`{name}` must be an amount from 0.", param=name)
    return value


def _read_entry_query(visit: Visit, evaluator_id: UUID) -> EntryQuery:
    outcome = visit.query("outcome")
    if outcome is not None and outcome not in set(Outcome):
        raise FieldError("`outcome` is no outcome.", param="outcome")
    return EntryQuery(evaluator_id=evaluator_id, outcome=None if outcome is None else Outcome(outcome))


def _texts(visit: Visit) -> dict[str, str]:
    return {name: value for name, value in visit.form.items() if isinstance(value, str)}


def _as_fields(evaluator: Evaluator) -> dict[str, str]:
    definition, config = evaluator.definition, evaluator.definition.output_config
    model = definition.model
    rule: Mapping[str, Any] = config.get("passing_rule") or {}
    options: Sequence[Mapping[str, Any]] = config.get("options") or ()
    rollout = evaluator.conditions[0].get("rollout_percentage") if evaluator.conditions else 0
    values: dict[str, Any] = {
        "kind": definition.kind.value,
        "name": evaluator.name,
        "description": evaluator.description,
        "enabled": "yes" if evaluator.enabled else "",
        "source": definition.config.get("source"),
        "prompt": definition.config.get("prompt"),
        "output_kind": definition.output_kind.value,
        "allows_na": "yes" if config.get("allows_na") else "",
        "true_is_failure": "yes" if config.get("true_is_failure") else "",
        "min": config.get("min"),
        "max": config.get("max"),
        "threshold": rule.get("threshold"),
        "options": "\n".join(str(option["key"]) for option in options),
        "passing": "\n".join(rule.get("categories") or []),
        "rollout": rollout,
        "provider": None if model is None else model.provider.value,
        "judge_model": None if model is None else model.model,
        "provider_key": None if model is None or model.provider_key_id is None else model.provider_key_id.hex,
    }
    return {name: str(value) for name, value in values.items() if value is not None}


def as_parts(summary: Summary) -> list[Part]:
    """An evaluator's entries by outcome; what is still to be done comes last."""
    counts: dict[Outcome, int] = {}
    waiting = 0
    for tally in summary.tallies:
        if tally.state is State.DONE and tally.outcome is not None:
            counts[tally.outcome] = counts.get(tally.outcome, 0) + tally.count
        else:
            waiting += tally.count
    parts = [Part(one.value.replace("_", " "), counts[one], OUTCOME_TONES[one]) for one in Outcome if one in counts]
    return [*parts, Part("waiting", waiting, "main")] if waiting else parts


def _as_points(days: Any) -> list[Point]:
    points: list[Point] = []
    for day in days:
        if day.passed is None:
            points.append(Point(f"{day.day:%d %b}", day.mean))
            continue
        interval = wilson_interval(day.passed, day.scored)
        low, high = interval or (None, None)
        points.append(Point(f"{day.day:%d %b}", day.passed / day.scored, low, high))
    return points
