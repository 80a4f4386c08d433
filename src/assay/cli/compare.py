"""`assay compare`: two runs, or two models of one, on the same items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.cli.console import ExitCode, print_json, print_table
from assay.cli.evaluation.options import ApiKey, AsJson, Home, Server

if TYPE_CHECKING:
    from assay.cli.evaluation.client import ApiClient

RunId = Annotated[str, typer.Argument(metavar="RUN", help="Id of the run that may be better (eval_run_…).")]
BaselineId = Annotated[
    str | None, typer.Argument(metavar="[BASELINE]", help="Id of the run to compare with; the same run by default.")
]
Model = Annotated[str | None, typer.Option(help="Which of the run's models, if it has several.")]
BaselineModel = Annotated[str | None, typer.Option(help="Which of the baseline's models, if it has several.")]
Task = Annotated[str | None, typer.Option(help="One task, instead of all.")]
Metric = Annotated[str | None, typer.Option(help="Metric to compare; by default each task's main one.")]
Alpha = Annotated[float, typer.Option(min=0.0001, max=0.5, help="Allowed rate of false positives, over all tasks.")]
Effect = Annotated[
    float | None, typer.Option(help="The smallest difference worth finding; sets how many items it takes.")
]
CommonOnly = Annotated[bool, typer.Option("--common-only", help="Leave out items and tasks that only one side has.")]
FailIfWorse = Annotated[bool, typer.Option("--fail-if-worse", help="Exit with 1 if a task is worse.")]

_COLUMNS = ("task", "metric", "baseline", "candidate", "difference", "interval", "p", "verdict")


def compare(
    run_id: RunId,
    baseline_id: BaselineId = None,
    *,
    model: Model = None,
    baseline_model: BaselineModel = None,
    task: Task = None,
    metric: Metric = None,
    alpha: Alpha = 0.05,
    effect: Effect = None,
    common_only: CommonOnly = False,
    fail_if_worse: FailIfWorse = False,
    home: Home = None,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Say whether a run is better or worse than another on the same items, or not decided yet.

    p is adjusted for the number of tasks. Exits with 0, with 1 under --fail-if-worse when a task is worse, and with 2
    when the two cannot be compared.
    """
    from assay.cli.runs import with_client

    query = {
        "baseline_run_id": baseline_id,
        "model": model,
        "baseline_model": baseline_model,
        "task_id": task,
        "metric": metric,
        "alpha": str(alpha),
        "effect": None if effect is None else str(effect),
        "common_only": str(common_only).lower(),
    }

    async def main(client: ApiClient) -> ExitCode:
        given = {name: value for name, value in query.items() if value is not None}
        found = await client.compare_runs(run_id, given)
        if as_json:
            print_json(found)
        else:
            print_table(_COLUMNS, map(_cells, found["tasks"]))
        worse = any(one["verdict"] == "worse" for one in found["tasks"])
        return ExitCode.FAILED if fail_if_worse and worse else ExitCode.OK

    with_client(main, home=home, server=server, api_key=api_key)


def _cells(task: dict[str, Any]) -> tuple[object, ...]:
    interval = "" if task["low"] is None else f"{task['low']:+.3f} to {task['high']:+.3f}"
    return (
        task["task_id"],
        task["metric"],
        _number(task["baseline_mean"], ".3f"),
        _number(task["candidate_mean"], ".3f"),
        _number(task["difference"], "+.3f"),
        interval,
        _number(task["adjusted_p"], ".4f"),
        _verdict(task),
    )


def _verdict(task: dict[str, Any]) -> str:
    verdict = str(task["verdict"]).replace("_", " ")
    if task["more_items"] is None:
        return verdict
    return f"{verdict}, about {task['more_items']} more items needed"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
