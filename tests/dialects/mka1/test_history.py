"""Historical results, imported from a hub that answers like Hugging Face's (M§2.13)."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import make_url
from tests.support.hub import REPOSITORY, TOKEN, Hub, document, results, samples
from tests.support.live import LiveServer
from tests.support.mka1 import Client, Mode, make_suite
from tests.support.tenants import Tenants, make_tenants

from assay.runtime import Addresses
from assay.settings import ImportSettings, OutboundSettings

OPERATION = "evals.import_historical_results"
PATH = "/api/v1/llm/evals/imports/huggingface-results"
DATE = "2025-03-04T05-06-07.890000"
GSM = f"org__model-a/samples_gsm8k_{DATE}.jsonl"
ARC = f"org__model-a/samples_arc_easy_{DATE}.jsonl"
OTHER = "org__model-b/samples_gsm8k_2025-04-01T00-00-00.jsonl"


def files() -> dict[str, bytes]:
    return {
        "README.md": b"# results",
        GSM: samples(
            document(0),
            document(0, filter="flexible-extract", exact_match=0.0),
            document(1, exact_match=0.0),
        ),
        ARC: samples(
            document(
                7,
                arguments=[["Question: x", " a"], ["Question: x", " b"]],
                resps=[[[-1.5, False]], [[-0.5, True]]],
                filtered_resps=[[-1.5, False], [-0.5, True]],
                metrics=["acc", "acc_norm"],
                acc=1.0,
                acc_norm=0.0,
                exact_match=None,
                target=1,
            )
        ),
        OTHER: samples(document(0)),
        f"org__model-a/results_{DATE}.json": results("org/Model-A"),
    }


@pytest.fixture(scope="module")
async def hub() -> AsyncIterator[Hub]:
    async with Hub() as hub:
        yield hub


@pytest.fixture(scope="module")
async def importing(
    hub: Hub, postgres_url: str, template_database: str, temporal_address: str
) -> AsyncIterator[LiveServer]:
    """A server that reads from the hub, and may: it is on loopback."""
    connection = await asyncpg.connect(postgres_url, ssl=False)
    try:
        await connection.execute(f"CREATE DATABASE importing TEMPLATE {template_database} STRATEGY FILE_COPY")
    finally:
        await connection.close()
    url = make_url(postgres_url).set(database="importing").render_as_string(hide_password=False)
    with (
        tempfile.TemporaryDirectory(prefix="assay-live-") as folder,
        LiveServer(
            Addresses(url, temporal_address),
            folder=Path(folder),
            task_queue="importing",
            imports=ImportSettings(hub_url=hub.url),
            outbound=OutboundSettings(allow_hosts=("127.0.0.1", "localhost")),
        ) as server,
    ):
        yield server


@pytest.fixture(scope="module")
def keys(importing: LiveServer) -> Tenants:
    return importing.call(make_tenants(importing.runtime.sessions))


@pytest.fixture
async def importer(importing: LiveServer, keys: Tenants, hub: Hub, mode: Mode) -> AsyncIterator[Client]:
    """A client of that server; the hub is as new."""
    hub.files, hub.status, hub.redirect_to = files(), 200, None
    hub.requests.clear()
    async with Client(importing.url, keys.all_scopes, mode=mode, timeout_seconds=10) as client:
        yield client


async def run_import(client: Client, **body: Any) -> Any:
    return await client.call(OPERATION, x_hugging_face_token=TOKEN, **body)


async def test_a_repository_becomes_a_suite(importer: Client, hub: Hub) -> None:
    made = await run_import(importer, metadata={"team": "x"})

    assert made.source.model_dump() == {"type": "huggingface", "repo": REPOSITORY, "revision": "main"}
    assert (made.created_suite, made.created_suite_version, made.suite_version, made.dry_run) == (True, True, 1, False)
    assert (made.discovered_files, made.imported_runs, made.skipped_runs, made.imported_samples) == (3, 3, 0, 4)
    suite = await importer.call("evals.get_suite", suite_id=made.suite_id)
    assert suite.name == "Historical lm-eval harness results"
    runs = (await importer.call("evals.list_runs", suite_id=made.suite_id)).data
    assert [(run.models, run.task_ids, run.status) for run in runs] == [
        (["org/model-b"], ["gsm8k"], "completed"),
        *[(["org/Model-A"], [task], "completed") for task in (runs[1].task_ids[0], runs[2].task_ids[0])],
    ]
    run = next(run for run in runs if run.task_ids == ["gsm8k"] and run.models == ["org/Model-A"])
    assert run.created_at == 1_741_064_767
    assert run.agent_name is None
    assert run.metadata == {
        "team": "x",
        "source_repo": REPOSITORY,
        "source_revision": "main",
        "source_file": GSM,
    }
    assert run.metrics["overall"] == {"exact_match": 0.5, "exact_match,flexible-extract": 0, "score": 0.5}
    first, second = (await importer.call("evals.list_samples", run_id=run.id)).data
    assert (first.prompt, first.target, first.output_text) == ("Q: 0 + 1?\nA:", "1", "It is 1.")
    assert (first.extracted_output, first.dataset_row) == ("1", {"question": "0 + 1?", "answer": "1"})
    assert first.scores == {"exact_match": 1, "exact_match,flexible-extract": 0, "score": 1}
    assert (second.sample_index, second.scores, second.tokens_estimated) == (1, {"exact_match": 0, "score": 0}, True)
    arc = next(run for run in runs if run.task_ids == ["arc_easy"])
    (sample,) = (await importer.call("evals.list_samples", run_id=arc.id)).data
    assert (sample.sample_index, sample.prompt, sample.target) == (7, "Question: x", "1")
    assert (sample.output_text, sample.scores) == ("[-1.5,false]", {"acc": 1, "acc_norm": 0, "score": 1})
    board = await importer.call("evals.list_suite_leaderboard_runs", suite_id=made.suite_id)
    assert [(group.model, group.task_id) for group in board.groups] == [
        ("org/Model-A", "arc_easy"),
        ("org/Model-A", "gsm8k"),
        ("org/model-b", "gsm8k"),
    ]
    # The token goes to the hub, and not to where the hub sends us.
    for host, _, headers in hub.requests:
        assert ("Authorization" in headers) == host.startswith("127.0.0.1")
    await importer.refused(400, "evals.create_run", suite_id=made.suite_id, models=["openai/m"])


async def test_importing_again_adds_what_is_new(importer: Client, hub: Hub) -> None:
    first = await run_import(importer, source={"files": [GSM]})
    assert (first.imported_runs, first.discovered_files) == (1, 1)

    again = await run_import(importer, suite_id=first.suite_id)

    assert (again.suite_id, again.created_suite, again.created_suite_version) == (first.suite_id, False, True)
    assert (again.suite_version, again.imported_runs, again.skipped_runs) == (2, 2, 1)
    version = await importer.call("evals.get_suite_version", suite_id=first.suite_id, version=2)
    assert [task["id"] for task in version.manifest.tasks] == ["gsm8k", "arc_easy"]
    third = await run_import(importer, suite_id=first.suite_id)
    assert (third.suite_version, third.imported_runs, third.skipped_runs) == (2, 0, 3)


async def test_tasks_that_are_missing_may_stay_so(importer: Client) -> None:
    suite = await make_suite(importer)

    made = await run_import(importer, suite_id=suite.id, create_missing_tasks=False)

    assert (made.suite_version, made.created_suite_version) == (1, False)
    assert (made.imported_runs, made.skipped_runs, made.imported_samples) == (0, 3, 0)
    await importer.refused(400, OPERATION, x_hugging_face_token=TOKEN, create_missing_tasks=False)


async def test_a_dry_run_leaves_nothing(importer: Client) -> None:
    suite = await make_suite(importer)

    made = await run_import(importer, dry_run=True)
    assert (made.dry_run, made.created_suite, made.imported_runs, made.imported_samples) == (True, True, 3, 4)
    await importer.refused(404, "evals.get_suite", suite_id=made.suite_id)
    made = await run_import(importer, dry_run=True, suite_id=suite.id)

    assert (made.suite_id, made.suite_version, made.created_suite_version) == (suite.id, 2, True)
    assert (await importer.call("evals.get_suite", suite_id=suite.id)).latest_version == 1
    assert (await importer.call("evals.list_runs", suite_id=suite.id)).data == []


async def test_limits_and_prefixes(importer: Client) -> None:
    limited = await run_import(importer, dry_run=True, limit_files=1)
    assert (limited.discovered_files, limited.imported_runs) == (3, 1)

    below = await run_import(importer, dry_run=True, source={"path_prefix": "org__model-b"})

    assert (below.discovered_files, below.imported_runs, below.imported_samples) == (1, 1, 1)


async def test_a_long_import_is_joined_by_the_same_request(
    importer: Client, hub: Hub, keys: Tenants, importing: LiveServer
) -> None:
    """The first request gives up waiting; the import goes on, and the next equal request gets its result."""
    hub.open.clear()
    body = {"suite_name": f"slow {importer.mode}"}
    headers = {"X-HuggingFace-Token": TOKEN}

    waiting = await importer.raw("POST", PATH, json=body, headers=headers)
    assert (waiting.status, waiting.headers["retry-after"]) == (503, "1")
    assert waiting.json["error"]["details"] == {"code": "import_in_progress"}
    asked = len(hub.requests)
    hub.open.set()
    joined = await importer.raw("POST", PATH, json=body, headers=headers)

    assert (joined.status, joined.json["imported_runs"]) == (200, 3)
    assert sum(path.startswith("/api/") for _, path, _ in hub.requests[:asked]) == 1
    named = [
        suite
        for suite in (await importer.call("evals.list_suites", limit=100)).data
        if suite.name == body["suite_name"]
    ]
    assert [suite.id for suite in named] == [joined.json["suite_id"]]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "line 1: it is not JSON"),
        (b'{"doc_id": 0}\n[]\n', "line 2: it is not an object"),
        (b'{"doc_id": -1}\n', "line 1: `doc_id`"),
        (b'{"doc_id": "x"}\n', "line 1: `doc_id`"),
    ],
)
async def test_a_faulty_file_stops_all_of_it(importer: Client, hub: Hub, content: bytes, reason: str) -> None:
    hub.files[OTHER] = content
    before = len((await importer.call("evals.list_suites", limit=100)).data)

    error = await importer.refused(400, OPERATION, x_hugging_face_token=TOKEN)

    assert reason in error["message"]
    assert len((await importer.call("evals.list_suites", limit=100)).data) == before


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"source": {"repo": "no-owner"}}, "source.repo"),
        ({"source": {"repo": "../x"}}, "source.repo"),
        ({"source": {"revision": "a/../../b"}}, "source.revision"),
        ({"source": {"revision": "absent"}}, "source"),
        ({"source": {"repo": "some/other"}}, "source"),
        ({"source": {"path_prefix": "absent"}}, "source"),
        ({"source": {"path_prefix": "../.."}}, "source.path_prefix"),
        ({"source": {"files": ["../samples_x.jsonl"]}}, "source.files[0]"),
        ({"source": {"files": ["README.md"]}}, "source.files[0]"),
        ({"source": {"files": ["a/samples_x.jsonl"]}}, "source.files"),
        ({"source": {"files": []}}, "source.files"),
        ({"source": {"type": "s3"}}, "source.type"),
        ({"limit_files": 0}, "limit_files"),
        ({"limit_files": 101}, "limit_files"),
        ({"suite_name": ""}, "suite_name"),
        ({"suite_name": " "}, "name"),
        ({"metadata": {"k": "v" * 513}}, "metadata"),
    ],
)
async def test_import_refuses(importer: Client, body: dict[str, Any], param: str) -> None:
    answer = await importer.raw("POST", PATH, json=body, headers={"X-HuggingFace-Token": TOKEN})

    assert answer.status == 400, answer.content
    assert answer.json["error"]["param"] == param


async def test_the_callers_token_is_needed(importer: Client) -> None:
    answer = await importer.raw("POST", PATH, json={})
    assert (answer.status, answer.json["error"]["param"]) == (400, "X-HuggingFace-Token")

    error = await importer.refused(400, OPERATION, x_hugging_face_token="hf_other")

    assert error["param"] == "X-HuggingFace-Token"


async def test_the_token_stays_nowhere(
    importer: Client,
    hub: Hub,
    importing: LiveServer,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)

    made = await run_import(importer)
    hub.status = 403
    await importer.refused(400, OPERATION, x_hugging_face_token=TOKEN, suite_name="again")

    async def dump() -> str:
        async with importing.runtime.engine.connect() as connection:
            tables = await connection.exec_driver_sql(
                "SELECT string_agg(format('SELECT t::text FROM %I AS t', table_name), ' UNION ALL ') "
                "FROM information_schema.tables WHERE table_schema = 'public'"
            )
            rows = await connection.exec_driver_sql(tables.scalar_one())
            return "\n".join(row[0] for row in rows)

    captured = capsys.readouterr()
    stored = importing.call(dump())
    assert str(UUID(made.suite_id.removeprefix("eval_suite_"))) in stored
    for place in (stored, caplog.text, captured.out, captured.err, *(str(answer) for answer in importer.answers)):
        assert TOKEN not in place


@pytest.mark.parametrize(("status", "answered"), [(429, 503), (500, 503), (403, 400), (404, 400), (418, 400)])
async def test_a_hub_that_fails(importer: Client, hub: Hub, status: int, answered: int) -> None:
    hub.status = status

    answer = await importer.raw("POST", PATH, json={"suite_name": f"{status}"}, headers={"X-HuggingFace-Token": TOKEN})

    assert answer.status == answered, answer.content


@pytest.mark.parametrize(
    "place", ["http://10.0.0.1/x", "https://169.254.169.254/latest", "file:///etc/passwd", "http://[::1]/"]
)
async def test_redirects_lead_nowhere_inside(importer: Client, hub: Hub, place: str) -> None:
    hub.redirect_to = place

    answer = await importer.raw("POST", PATH, json={"suite_name": place}, headers={"X-HuggingFace-Token": TOKEN})

    assert (answer.status, answer.json["error"]["type"]) == (400, "invalid_request_error")


async def test_endless_redirects_end(importer: Client, hub: Hub) -> None:
    hub.redirect_to = f"/datasets/{REPOSITORY}/resolve/main/{GSM}"

    answer = await importer.raw("POST", PATH, json={}, headers={"X-HuggingFace-Token": TOKEN})

    assert answer.status == 503
    assert len(hub.requests) < 20


async def test_who_may(importer: Client, importing: LiveServer, keys: Tenants, mode: Mode) -> None:
    suite = await make_suite(importer)
    async with Client(importing.url, keys.other_organization, mode=mode) as outsider:
        await outsider.refused(404, OPERATION, x_hugging_face_token=TOKEN, suite_id=suite.id)
    async with Client(importing.url, keys.read_only, mode=mode) as reader:
        await reader.refused(403, OPERATION, x_hugging_face_token=TOKEN)


async def test_parallel_imports_store_everything_once(importer: Client) -> None:
    suite = await make_suite(importer)

    answers = await asyncio.gather(
        *(
            importer.raw(
                "POST",
                PATH,
                json={"suite_id": suite.id, "metadata": {"n": str(number)}},
                headers={"X-HuggingFace-Token": TOKEN},
            )
            for number in range(4)
        )
    )

    assert [answer.status for answer in answers] == [200] * 4
    assert sum(answer.json["imported_runs"] for answer in answers) == 3
    assert (await importer.call("evals.get_suite", suite_id=suite.id)).latest_version == 2


async def test_a_folder_of_the_operator(client: Client, live: LiveServer) -> None:
    """The live server reads from its own folder; links that lead out of a repository are not followed."""
    root = live.runtime.settings.core.home / "imports" / "own" / f"repo-{client.mode}"
    for path, content in files().items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    secret = live.runtime.settings.core.home / "secret.jsonl"
    secret.write_bytes(samples(document(0)))
    (root / "samples_secret.jsonl").symlink_to(secret)
    repo = f"own/{root.name}"

    made = await run_import(client, source={"repo": repo, "path_prefix": "org__model-a"})

    assert (made.discovered_files, made.imported_runs, made.source.repo) == (2, 2, repo)
    for source in ({"repo": repo, "files": ["samples_secret.jsonl"]}, {"repo": "own/absent"}):
        await client.refused(400, OPERATION, x_hugging_face_token=TOKEN, source=source)
