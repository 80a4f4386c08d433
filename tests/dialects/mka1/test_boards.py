"""Boards of agents and of runs (M§2.8, M§2.9). Expected figures were worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
from tests.dialects.mka1.conftest import Connect
from tests.support.agents import imported, make_tasks, trial
from tests.support.live import LiveServer
from tests.support.mka1 import Client
from tests.support.tenants import Tenants

from assay.core.boards.agents import wald_interval
from assay.core.boards.runs import BoardQuery, list_board_runs
from assay.core.projects.authentication import Authenticator
from assay.dialects.mka1.identifiers import Prefix, read_id

T0 = 1_750_000_000


def scored(*rewards: float, task: str = "a", **fields: Any) -> list[dict[str, Any]]:
    return [trial(task, scores={"reward": reward}, **fields) for reward in rewards]


def phase(seconds: int) -> dict[str, Any]:
    times = {"started_at": "2026-01-01T00:00:00Z", "finished_at": f"2026-01-01T00:00:{seconds:02}Z"}
    return {"agent_execution": times}


async def test_a_row_adds_up_its_runs(client: Client) -> None:
    """Seven trials: rewards 1, 1, 0, 1 and 0.5, one without a reward, one failed.

    accuracy = 3.5/5 = 0.7; margin = 1.96·√(0.7·0.3/5) = 0.40168…; low = 0.29831…, high = 1 (cut).
    """
    suite = await make_tasks(client, "a", "b")
    base = {"agent_effort": "high"}
    large = await imported(
        client,
        suite.id,
        **base,
        agent_version="1",
        created_at=T0,
        cost_usd=100,
        trials=[
            trial("a", scores={"reward": 1}, cost_usd=1, input_tokens=10, cached_tokens=4, phase_timings=phase(10)),
            trial("a", scores={"reward": 1}, output_tokens=3, phase_timings=phase(20)),
            trial("a", scores={"reward": 0}, error={"type": "Timeout"}, phase_timings={"agent_execution": {}}),
            trial("a", scores={"resolved": 1}),
            trial("b", status="failed", error={"type": "NoContainer"}),
        ],
    )
    newest = await imported(
        client, suite.id, **base, agent_version="2", created_at=T0 + 10, cost_usd=7, trials=scored(1, 0.5)
    )
    await client.call("evals.upload_sample_trajectory", run_id=large.id, sample_index=0, steps=[1, 2, 3])
    await client.call("evals.upload_sample_trajectory", run_id=newest.id, sample_index=1, steps=[1])

    board = await client.call("evals.get_suite_leaderboard", suite_id=suite.id)

    assert (board.suite_id, board.suite_version, board.metric) == (suite.id, None, "reward")
    (row,) = board.data
    assert (row.agent_name, row.agent_version, row.agent_effort, row.model) == ("omp", "2", "high", "m")
    assert row.accuracy == pytest.approx(0.7)
    interval = row.accuracy_ci.model_dump()
    assert interval == pytest.approx({"low": 0.298320, "high": 1.0, "margin": 0.401680}, abs=1e-6)
    assert (row.trials, row.scored_trials, row.failed_trials, row.solved_trials) == (7, 5, 1, 3)
    # The first run's trials carry 1 dollar; those of the second none, so its own 7 count.
    assert row.cost_usd == 8
    assert (row.input_tokens, row.output_tokens, row.cached_tokens) == (10, 3, 4)
    assert (row.steps, row.agent_seconds, row.timed_trials) == (4, 30, 2)
    assert (row.run_count, row.run_ids, row.last_run_at) == (2, [large.id, newest.id], T0 + 10)


async def test_rows_and_their_order(client: Client) -> None:
    suite = await make_tasks(client, "a")
    for agent, model, effort, rewards in [
        ("zed", "m1", "low", [1, 1]),
        ("omp", "m2", "low", [1, 0]),
        ("omp", "m1", None, [0, 1]),
        ("omp", "m1", "low", [0.5]),
        ("bee", "m1", "low", []),
    ]:
        trials = scored(*rewards) or [trial("a", scores={"other": 1})]
        await imported(client, suite.id, agent_name=agent, model=model, agent_effort=effort, trials=trials)
    await imported(client, suite.id, agent_name="open", finalize=False, trials=scored(1))
    hidden = await imported(client, suite.id, agent_name="gone", trials=scored(1))
    await client.call("evals.delete_run", run_id=hidden.id)

    board = await client.call("evals.get_suite_leaderboard", suite_id=suite.id)

    assert [(row.agent_name, row.model, row.agent_effort, row.accuracy) for row in board.data] == [
        ("zed", "m1", "low", 1),
        ("omp", "m1", None, 0.5),
        ("omp", "m1", "low", 0.5),
        ("omp", "m2", "low", 0.5),
        ("bee", "m1", "low", None),
    ]
    last = board.data[-1]
    assert (last.accuracy_ci, last.scored_trials, last.cost_usd, last.input_tokens, last.steps) == (None, 0) + (
        None,
    ) * 3

    async def names(**filters: Any) -> list[tuple[str, str]]:
        found = await client.call("evals.get_suite_leaderboard", suite_id=suite.id, **filters)
        return [(row.agent_name, row.model) for row in found.data]

    assert await names(limit=2) == [("zed", "m1"), ("omp", "m1")]
    assert await names(agent="omp", model="m2") == [("omp", "m2")]
    assert await names(agent="nobody") == []
    other = await client.call("evals.get_suite_leaderboard", suite_id=suite.id, metric="other")
    assert (other.data[0].agent_name, other.data[0].accuracy, other.metric) == ("bee", 1, "other")


async def test_versions_are_kept_apart(client: Client) -> None:
    suite = await make_tasks(client, "a")
    version = await client.call("evals.get_suite_version", suite_id=suite.id, version=1)
    manifest = version.manifest.model_dump(by_alias=True, exclude_unset=True)
    await client.call("evals.create_suite_version", suite_id=suite.id, manifest=manifest)
    await imported(client, suite.id, suite_version=1, trials=scored(1))
    second = await imported(client, suite.id, suite_version=2, trials=scored(0))

    board = await client.call("evals.get_suite_leaderboard", suite_id=suite.id, suite_version=2)
    runs = await client.call("evals.list_suite_leaderboard_runs", suite_id=suite.id, suite_version=2)

    assert (board.suite_version, board.data[0].accuracy, board.data[0].run_ids) == (2, 0, [second.id])
    assert [run.id for run in runs.data] == [second.id]
    for operation in ("evals.get_suite_leaderboard", "evals.list_suite_leaderboard_runs"):
        await client.refused(404, operation, suite_id=suite.id, suite_version=3)


@pytest.mark.parametrize(
    ("share", "count", "low", "high"), [(0.0, 3, 0, 0), (1.0, 1, 1, 1), (0.5, 4, 0.01, 0.99), (1.5, 2, 1, 1)]
)
def test_the_interval_stays_within_its_bounds(share: float, count: int, low: float, high: float) -> None:
    interval = wald_interval(share, count)

    assert (interval.low, interval.high) == (pytest.approx(low), pytest.approx(high))


async def test_groups_of_runs(client: Client) -> None:
    suite = await make_tasks(client, "a", "b")
    runs: dict[str, Any] = {}
    for name, model, trials, age in [
        ("a1", "m1", scored(1), 40),
        ("full1", "m1", [*scored(1), *scored(1, task="b")], 30),
        ("a2", "m1", scored(1), 20),
        ("full2", "m2", [*scored(1), *scored(1, task="b")], 10),
        ("b1", "m1", scored(1, task="b"), 5),
    ]:
        runs[name] = await imported(client, suite.id, model=model, trials=trials, created_at=T0 - age)
    await imported(client, suite.id, finalize=False, trials=scored(1))
    names = {run.id: name for name, run in runs.items()}

    board = await client.call("evals.list_suite_leaderboard_runs", suite_id=suite.id)

    assert [names[run.id] for run in board.data] == ["b1", "full2", "a2", "full1", "a1"]
    assert [(group.model, group.task_id, group.rank, names[group.run_id]) for group in board.groups] == [
        ("m1", None, 1, "full1"),
        ("m1", "a", 1, "a2"),
        ("m1", "a", 2, "a1"),
        ("m1", "b", 1, "b1"),
        ("m2", None, 1, "full2"),
    ]
    assert (board.truncated, board.next_cursor) == (False, None)
    one = await client.call("evals.list_suite_leaderboard_runs", suite_id=suite.id, per_group=1, model="m1")
    assert [names[run.id] for run in one.data] == ["b1", "a2", "full1"]


async def test_a_cut_board_is_whole_in_the_end(client: Client, live: LiveServer, tenants: Tenants) -> None:
    """Every rank 1 comes before any rank 2, and the parts together are the whole."""
    suite = await make_tasks(client, "a", "b")
    for number in range(3):
        for model in ("m1", "m2"):
            for task in ("a", "b"):
                await imported(client, suite.id, model=model, trials=scored(1, task=task), created_at=T0 + number)
    query = BoardQuery(read_id(Prefix.SUITE, suite.id, param="suite_id"), per_group=3)

    async def read(cursor: str | None, **bounds: int) -> Any:
        async with live.runtime.sessions() as session:
            caller = await Authenticator().authenticate(session, tenants.all_scopes)
            return await list_board_runs(session, caller, query, cursor=cursor, **bounds)

    whole = live.call(read(None))
    for bounds in ({"max_runs": 5}, {"max_bytes": 1}, {"max_bytes": 20_000}):
        placings: list[Any] = []
        cursor: str | None = None
        while True:
            part = live.call(read(cursor, **bounds))
            assert {place.run_id for place in part.placings} == {run.id for run in part.runs}
            placings += sorted(part.placings, key=lambda place: (place.rank, place.model, place.task_id))
            cursor = part.next_cursor
            if cursor is None:
                break
        assert sorted(map(str, placings)) == sorted(map(str, whole.placings))
        assert [place.rank for place in placings] == [1] * 4 + [2] * 4 + [3] * 4
    assert len(whole.runs) == 12


async def test_cursors_of_other_boards_are_refused(client: Client, live: LiveServer, tenants: Tenants) -> None:
    suite = await make_tasks(client, "a")
    for number in range(2):
        await imported(client, suite.id, trials=scored(1), created_at=T0 + number)
    query = BoardQuery(read_id(Prefix.SUITE, suite.id, param="suite_id"))

    async def first() -> str | None:
        async with live.runtime.sessions() as session:
            caller = await Authenticator().authenticate(session, tenants.all_scopes)
            return (await list_board_runs(session, caller, query, max_runs=1)).next_cursor

    cursor = live.call(first())
    rest = await client.call("evals.list_suite_leaderboard_runs", suite_id=suite.id, cursor=cursor)
    assert ([group.rank for group in rest.groups], rest.truncated) == ([2], False)
    for arguments in ({"cursor": cursor, "per_group": 2}, {"cursor": "x"}, {"cursor": "W10"}, {"cursor": "é"}):
        error = await client.refused(400, "evals.list_suite_leaderboard_runs", suite_id=suite.id, **arguments)
        assert error["param"] == "cursor"


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("leaderboard?limit=0", "limit"),
        ("leaderboard?limit=501", "limit"),
        ("leaderboard?metric=", "metric"),
        ("leaderboard?suite_version=0", "suite_version"),
        ("leaderboard-runs?per_group=0", "per_group"),
        ("leaderboard-runs?per_group=51", "per_group"),
    ],
)
async def test_bad_queries(client: Client, path: str, param: str) -> None:
    suite = await make_tasks(client, "a")

    answer = await client.raw("GET", f"/api/v1/llm/evals/suites/{suite.id}/{path}")

    assert (answer.status, answer.json["error"]["param"]) == (400, param)


async def test_who_may(client: Client, outsider: Client, connect: Connect, tenants: Tenants) -> None:
    suite = await make_tasks(client, "a")
    for operation in ("evals.get_suite_leaderboard", "evals.list_suite_leaderboard_runs"):
        await outsider.refused(404, operation, suite_id=suite.id)
        await connect(tenants.no_scopes).refused(403, operation, suite_id=suite.id)
        await connect(tenants.read_only).call(operation, suite_id=suite.id)


async def test_end_users_see_their_own_rows_only(connect: Connect, tenants: Tenants) -> None:
    ann, bob = (connect(tenants.delegating, on_behalf_of=name) for name in ("ann", "bob"))
    suite = await make_tasks(ann, "a")
    await imported(ann, suite.id, trials=scored(1))

    assert len((await ann.call("evals.get_suite_leaderboard", suite_id=suite.id)).data) == 1
    await bob.refused(404, "evals.get_suite_leaderboard", suite_id=suite.id)
