"""Jobs that a client carries out, and the reference checks of O§6."""

from __future__ import annotations

import asyncio
import random
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.dialects.overmind.conftest import Caller

MISSING = "6a387366-9252-426c-bedd-6cbade667e08"


@pytest.fixture
async def job(caller: Caller) -> dict[str, Any]:
    """A job that a client carries out."""
    return await caller.ok("POST", "/jobs/", {"status": "running"})


async def test_a_bare_create_is_a_pending_job_with_every_default(caller: Caller) -> None:
    project = await caller.project()

    made = await caller.ok("POST", "/jobs/", {})

    assert UUID(made.pop("id"))
    assert made.pop("created_at").endswith("Z")
    assert made.pop("updated_at").endswith("Z")
    assert made.pop("celery_task_id").startswith("job/")
    user = made.pop("user")
    assert isinstance(user, int)
    assert made == {
        "agent": None,
        "agent_display_name": "",
        "analyzer_model": "",
        "backtest_results": None,
        "baseline_score": None,
        "best_agent_code": "",
        "best_score": None,
        "candidates_per_iteration": 3,
        "current_iteration": 0,
        "data_source": "dataset",
        "improvement": None,
        "iterations": [],
        "job_type": "prompt_tuning",
        "logs": [],
        "num_iterations": 5,
        "project": project,
        "prompt_slug": "",
        "report_markdown": "",
        "result": None,
        "status": "pending",
        "triggered_by": user,
    }


async def test_b_a_client_reports_a_whole_optimisation_out_of_order(caller: Caller) -> None:
    agent = await caller.agent()
    job = await caller.ok(
        "POST",
        "/jobs/",
        {
            "status": "running",
            "agent": agent["id"],
            "analyzer_model": "anthropic/claude-sonnet-4-5",
            "num_iterations": 3,
            "candidates_per_iteration": 2,
            "data_source": "dataset",
        },
    )
    path = f"/jobs/{job['id']}/"
    assert job["prompt_slug"] == agent["slug"]
    await caller.ok("PATCH", path, {"baseline_score": 61.25, "status": "running"})
    for order in (3, 1, 2):
        iteration = {
            "job": job["id"],
            "iteration_name": f"iter_{order:03d}",
            "order": order,
            "avg_score": 60 + order * 7.1,
            "status": "keep" if order == 3 else "discard",
            "description": "Clearer steps",
            "agent_code": "\ndef run():\n    ...\n\n",
            "dimension_scores": {"avg_structure": 19.5, "avg_answer": 41},
        }
        made = await caller.ok("POST", "/job-iterations/", iteration)
        assert {name: made[name] for name in iteration} == iteration
    holdout = {"holdout": {"train_improvement": 20.05, "reverted": False, "rollback_iteration": None}}
    await caller.ok("PATCH", path, {"backtest_results": holdout})
    done = {
        "status": "completed",
        "best_score": 81.3,
        "improvement": 81.3 - 61.25,
        "report_markdown": "# Report\n\n",
        "best_agent_code": "\n\ndef run():\n    return 1\n",
    }
    await caller.ok("PATCH", path, done)
    await caller.ok("PATCH", path, {"status": "running", "baseline_score": 61.5})

    found = await caller.ok("GET", path)

    assert {name: found[name] for name in done} == done
    assert found["baseline_score"] == 61.5
    assert found["backtest_results"] == holdout
    assert [row["order"] for row in found["iterations"]] == [1, 2, 3]
    assert found["celery_task_id"] == ""
    assert found["agent_display_name"] == agent["name"]


async def test_c_filters_pages_search_and_order(caller: Caller) -> None:
    mark = f"slug-{uuid4().hex}"
    agent = await caller.agent(display_name=f"Display {mark}")
    for number in range(27):
        score = None if number == 0 else float(number)
        await caller.ok(
            "POST",
            "/jobs/",
            {
                "status": "completed" if number % 2 else "failed",
                "job_type": "inference",
                "prompt_slug": mark,
                "best_score": score,
                "agent": agent["id"] if number == 5 else None,
            },
        )

    first = await caller.ok("GET", f"/jobs/?prompt_slug={mark}&ordering=best_score,nonsense")
    assert (first["count"], len(first["results"]), first["previous"]) == (27, 25, None)
    assert [row["best_score"] for row in first["results"][:2]] == [1.0, 2.0]
    assert "iterations" not in first["results"][0]
    assert "best_agent_code" not in first["results"][0]
    second = (await caller.http.get(first["next"])).json()
    assert second["results"][-1]["best_score"] is None, "rows without a score come last"
    assert second["next"] is None
    assert (await caller.http.get(second["previous"])).json() == first
    assert (await caller.ok("GET", f"/jobs/?prompt_slug={mark}&page_size=500&page=1"))["count"] == 27

    async def count(**more: Any) -> int:
        return (await caller.ok("GET", "/jobs/", params={"prompt_slug": mark, **more}))["count"]

    assert await count(status="completed") == 13
    assert await count(status="") == 27
    assert await count(score_min=10, score_max="12.5") == 3
    assert await count(agent=agent["id"]) == 1
    assert await count(agent=MISSING) == 0
    assert await count(search=f"{mark[:12].upper()} display") == 0
    assert await count(search=agent["slug"][:10]) == 1
    assert await count(created_after="2020-01-01", created_before="2020-01-02T00:00:00Z") == 0
    for name, value in {
        "agent": "x",
        "status": "done",
        "job_type": "x",
        "created_after": "yesterday",
        "score_min": "NaN",
    }.items():
        assert list(await caller.refused(400, "GET", "/jobs/", params={name: value})) == [name]
    for page in ("0", "3", "-1", "x", "9" * 30):
        body = await caller.refused(404, "GET", f"/jobs/?prompt_slug={mark}&page={page}")
        assert body["detail"] == "Invalid page."


async def test_d_projects_do_not_see_each_other(caller: Caller, stranger: Caller, job: dict[str, Any]) -> None:
    agent = await caller.agent()
    iteration = await caller.ok("POST", "/job-iterations/", {"job": job["id"], "iteration_name": "a"})
    dataset = await caller.ok("POST", "/datasets/", {"agent": agent["id"], "datapoints": [{}]})
    prompt = await caller.ok("POST", "/prompts/", {"agent": agent["id"]})

    for path in (
        f"/jobs/{job['id']}/",
        f"/job-iterations/{iteration['id']}/",
        f"/agents/{agent['id']}/",
        f"/agents/{agent['id']}/eval_spec/",
        f"/datasets/{dataset['id']}/",
        f"/datasets/{dataset['id']}/datapoints/",
        f"/prompts/{prompt['id']}/",
        f"/projects/{await caller.project()}/",
    ):
        await caller.ok("GET", path)
        assert (await stranger.refused(404, "GET", path))["detail"] == "Not found."
    wanted: tuple[tuple[str, dict[str, Any], str], ...] = (
        ("/jobs/", {"agent": agent["id"]}, "agent"),
        ("/jobs/", {"project": await caller.project()}, "project"),
        ("/job-iterations/", {"job": job["id"], "iteration_name": "a"}, "job"),
        ("/prompts/", {"agent": agent["id"]}, "agent"),
        ("/datasets/", {"agent": agent["id"], "datapoints": []}, "agent"),
        ("/agents/", {"name": "a", "slug": "a", "project": await caller.project()}, "project"),
    )
    for path, body, field in wanted:
        assert list(await stranger.refused(400, "POST", path, body)) == [field]
    assert (await stranger.ok("GET", f"/job-iterations/?job={job['id']}"))["count"] == 0


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("status", '"done"'),
        ("status", "null"),
        ("job_type", '"tune"'),
        ("agent", '"not-a-uuid"'),
        ("agent", f'"{MISSING}"'),
        ("project", f'"{MISSING}"'),
        ("analyzer_model", f'"{"x" * 129}"'),
        ("prompt_slug", f'"{"x" * 256}"'),
        ("celery_task_id", f'"{"x" * 256}"'),
        ("data_source", '""'),
        ("data_source", f'"{"x" * 21}"'),
        ("data_source", "null"),
        ("num_iterations", "9223372036854775808"),
        ("num_iterations", "-9223372036854775809"),
        ("num_iterations", "5.0"),
        ("num_iterations", '"5"'),
        ("num_iterations", "true"),
        ("candidates_per_iteration", "null"),
        ("baseline_score", "NaN"),
        ("baseline_score", "-Infinity"),
        ("baseline_score", '"61"'),
        ("best_score", "[]"),
        ("report_markdown", '"a\\u0000b"'),
        ("report_markdown", "null"),
        ("best_agent_code", "5"),
        ("result", '{"deep": {"n": NaN}}'),
        ("triggered_by", "99999999"),
        ("triggered_by", '"1"'),
    ],
)
async def test_e_bad_values_are_refused_by_field(caller: Caller, job: dict[str, Any], field: str, text: str) -> None:
    content = f'{{"{field}": {text}}}'
    headers = {"Content-Type": "application/json"}
    for method, path in (("POST", "/jobs/"), ("PATCH", f"/jobs/{job['id']}/"), ("PUT", f"/jobs/{job['id']}/")):
        body = await caller.refused(400, method, path, content=content, headers=headers)

        assert list(body) == [field]
        assert all(isinstance(message, str) for message in body[field])


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("job", '"not-a-uuid"'),
        ("job", "null"),
        ("job", f'"{MISSING}"'),
        ("iteration_name", '""'),
        ("iteration_name", "null"),
        ("iteration_name", f'"{"x" * 65}"'),
        ("order", "9223372036854775808"),
        ("order", "1.0"),
        ("order", '"1"'),
        ("avg_score", "null"),
        ("avg_score", '"61"'),
        ("avg_score", "Infinity"),
        ("status", '"skip"'),
        ("status", "null"),
        ("description", "5"),
        ("agent_code", "null"),
        ("dimension_scores", '{"a": NaN}'),
    ],
)
async def test_e_bad_values_of_iterations_are_refused_by_field(
    caller: Caller, job: dict[str, Any], field: str, text: str
) -> None:
    made = await caller.ok("POST", "/job-iterations/", {"job": job["id"], "iteration_name": "a"})
    rest = {"job": f'"{job["id"]}"', "iteration_name": '"a"', field: text}
    content = "{" + ", ".join(f'"{name}": {value}' for name, value in rest.items()) + "}"
    headers = {"Content-Type": "application/json"}
    for method, path in (
        ("POST", "/job-iterations/"),
        ("PATCH", f"/job-iterations/{made['id']}/"),
        ("PUT", f"/job-iterations/{made['id']}/"),
    ):
        assert list(await caller.refused(400, method, path, content=content, headers=headers)) == [field]


@pytest.mark.parametrize("field", ["backtest_results", "result", "logs"])
@pytest.mark.parametrize("value", [None, [], 0, "x", False, 1.5, {"b": [1, {"a": None}], "a": -0.1}, [[], {}]], ids=str)
async def test_g_json_columns_come_back_as_they_were(caller: Caller, field: str, value: Any) -> None:
    made = await caller.ok("POST", "/jobs/", {"status": "running", field: value})
    assert made[field] == value

    path = f"/jobs/{made['id']}/"
    assert (await caller.ok("PATCH", path, {"prompt_slug": "other"}))[field] == value
    response = await caller.send("PATCH", path, {field: {"z": 1, "a": 2}})
    assert list(response.json()[field]) == ["z", "a"], "keys keep their order"


async def test_h_parallel_changes_of_different_columns_all_survive(caller: Caller, job: dict[str, Any]) -> None:
    columns: dict[str, Any] = {
        "analyzer_model": "m",
        "backtest_results": {"a": 1},
        "baseline_score": 1.25,
        "best_agent_code": "code",
        "best_score": 2.5,
        "candidates_per_iteration": 7,
        "current_iteration": 4,
        "improvement": 1.25,
        "job_type": "model_backtesting",
        "logs": [{"ts": 1.5, "level": "info", "msg": "m"}],
        "num_iterations": 9,
        "prompt_slug": "slug",
        "report_markdown": "# r",
        "result": {"b": 2},
        "celery_task_id": "task",
    }
    writes = [{name: value} for name, value in columns.items()] * 4
    random.Random(1).shuffle(writes)
    path = f"/jobs/{job['id']}/"

    await asyncio.gather(*(caller.ok("PATCH", path, write) for write in writes[:50]))

    written = {name for write in writes[:50] for name in write}
    found = await caller.ok("GET", path)
    assert {name: found[name] for name in written} == {name: columns[name] for name in written}
    assert written == set(columns)


async def test_large_programs_come_back_byte_for_byte(caller: Caller, job: dict[str, Any]) -> None:
    texts = {"best_agent_code": "\n\t" + "é" * 600_000 + "\n", "report_markdown": " " + "x" * 1_200_000 + " "}

    found = await caller.ok("PATCH", f"/jobs/{job['id']}/", texts)

    assert {name: found[name] for name in texts} == texts


@pytest.mark.parametrize(
    ("before", "written", "after"),
    [
        ("completed", "running", "completed"),
        ("failed", "running", "failed"),
        ("cancelled", "running", "cancelled"),
        ("completed", "pending", "pending"),
        ("running", "completed", "completed"),
        ("completed", "failed", "failed"),
        ("failed", "cancelled", "cancelled"),
        ("running", "pending", "pending"),
    ],
)
async def test_statuses_of_client_run_jobs(caller: Caller, before: str, written: str, after: str) -> None:
    job = await caller.ok("POST", "/jobs/", {"status": before})

    changed = await caller.ok("PATCH", f"/jobs/{job['id']}/", {"status": written, "best_score": 5.0})

    assert (changed["status"], changed["best_score"], changed["celery_task_id"]) == (after, 5.0, "")


async def test_iterations_belong_to_jobs(caller: Caller, job: dict[str, Any]) -> None:
    other = await caller.ok("POST", "/jobs/", {"status": "completed"})
    iteration = await caller.ok("POST", "/job-iterations/", {"job": job["id"], "iteration_name": "baseline"})
    path = f"/job-iterations/{iteration['id']}/"
    assert (iteration["order"], iteration["avg_score"], iteration["status"]) == (0, 0.0, "keep")
    assert (iteration["dimension_scores"], iteration["candidates"], iteration["agent_code"]) == ({}, None, "")
    again = await caller.ok("POST", "/job-iterations/", {"job": job["id"], "iteration_name": "baseline"})
    assert again["id"] != iteration["id"]

    moved = await caller.ok("PATCH", path, {"job": other["id"], "avg_score": 12})
    assert (moved["job"], moved["avg_score"]) == (other["id"], 12.0)
    assert [row["id"] for row in (await caller.ok("GET", f"/jobs/{other['id']}/"))["iterations"]] == [iteration["id"]]
    assert (await caller.refused(400, "PUT", path, {"job": other["id"]})) == {
        "iteration_name": ["This field is required."]
    }
    await caller.ok("PUT", path, {"job": other["id"], "iteration_name": "named"})
    assert (await caller.ok("GET", "/job-iterations/", params={"iteration_name": "named"}))["count"] == 1

    await caller.ok("DELETE", path)
    await caller.refused(404, "GET", path)
    await caller.ok("DELETE", f"/jobs/{job['id']}/")
    await caller.refused(404, "GET", f"/jobs/{job['id']}/")
    await caller.refused(404, "GET", f"/job-iterations/{again['id']}/")


async def test_changes_move_the_time_of_change(caller: Caller, job: dict[str, Any]) -> None:
    path = f"/jobs/{job['id']}/"
    seen = [job["updated_at"]]
    seen.append((await caller.ok("PATCH", path, {}))["updated_at"])
    await caller.ok("POST", "/job-iterations/", {"job": job["id"], "iteration_name": "a"})
    seen.append((await caller.ok("GET", path))["updated_at"])

    assert seen == sorted(set(seen))


@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE"])
@pytest.mark.parametrize("job_id", [MISSING, "x", "0" * 31])
async def test_jobs_that_are_not_there(caller: Caller, method: str, job_id: str) -> None:
    body = await caller.refused(404, method, f"/jobs/{job_id}/", {} if method != "GET" else None)

    assert body["detail"] == "Not found."
