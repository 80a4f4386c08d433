"""Datasets and items by the checklist of P§2.5, and their fields by the tables of P§2.1 and P§2.2."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest
from tests.dialects.posthog.conftest import Caller

DATASET_KEYS = {"id", "name", "description", "metadata", "created_at", "updated_at", "deleted", "created_by", "team"}
ITEM_KEYS = (DATASET_KEYS - {"name", "description"}) | {
    "dataset",
    "input",
    "output",
    "ref_trace_id",
    "ref_timestamp",
    "ref_source_id",
}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")

NOBODYS_ID = "0dce51cd-b5d6-4e66-974b-38547805e924"


@pytest.fixture
async def dataset(caller: Caller) -> dict[str, Any]:
    """A dataset of the first project."""
    return await caller.ok("POST", "/datasets", {"name": f"d-{uuid4().hex}"})


async def make_many(caller: Caller, count: int) -> tuple[str, list[str]]:
    """Datasets with a word of their own in their names; gives the word and the ids, oldest first."""
    word = uuid4().hex
    made = [await caller.ok("POST", "/datasets", {"name": f"{word} {n}"}) for n in range(count)]
    return word, [row["id"] for row in made]


def found(page: dict[str, Any]) -> list[str]:
    return [row["id"] for row in page["results"]]


async def test_a_dataset_has_every_field_and_belongs_to_its_caller(caller: Caller) -> None:
    body = {
        "name": "  Refunds  ",
        "description": "",
        "metadata": {"z": 1, "a": [1.0, None]},
        "id": str(uuid4()),
        "team": 999,
        "created_by": {"id": 999},
        "created_at": "2001-01-01T00:00:00Z",
        "unknown": True,
    }

    made = await caller.ok("POST", "/datasets/", body)

    assert set(made) == DATASET_KEYS
    assert (made["name"], made["description"], made["deleted"]) == ("Refunds", "", False)
    assert list(made["metadata"]) == ["z", "a"]
    assert made["id"] != body["id"]
    assert made["team"] != 999
    assert made["created_by"]["id"] != 999
    assert all(TIME.fullmatch(made[name]) for name in ("created_at", "updated_at"))
    changed = await caller.ok("PATCH", f"/datasets/{made['id']}/", {"team": 999, "created_by": None, "name": "New"})
    assert changed | {"updated_at": ""} == made | {"updated_at": "", "name": "New"}
    assert changed["updated_at"] > made["updated_at"]
    assert await caller.ok("GET", f"/datasets/{made['id']}") == changed


async def test_both_prefixes_and_the_number_name_the_same_project(caller: Caller, dataset: dict[str, Any]) -> None:
    for scheme in ("environments", "projects"):
        for project in ("@current", dataset["team"]):
            assert await caller.ok("GET", f"/api/{scheme}/{project}/datasets/{dataset['id']}/") == dataset


async def test_the_newest_is_first(caller: Caller) -> None:
    _, ids = await make_many(caller, 3)

    assert found(await caller.ok("GET", "/datasets"))[:3] == ids[::-1]


@pytest.mark.parametrize(
    ("order", "positions"),
    [
        ("created_at", [0, 1, 2]),
        ("-created_at", [2, 1, 0]),
        ("updated_at", [1, 2, 0]),
        ("-updated_at", [0, 2, 1]),
        ("-updated_at,created_at", [0, 2, 1]),
    ],
)
async def test_orders_combine_with_search(caller: Caller, order: str, positions: list[int]) -> None:
    word, ids = await make_many(caller, 3)
    await caller.ok("PATCH", f"/datasets/{ids[0]}", {"description": "touched"})

    page = await caller.ok("GET", "/datasets", params={"order_by": order, "search": word})

    assert found(page) == [ids[position] for position in positions]


@pytest.mark.parametrize("field", ["name", "description", "metadata"])
async def test_search_looks_at_each_field_in_any_case(caller: Caller, field: str) -> None:
    word = uuid4().hex
    text = f"Über {word.upper()} 100%"
    body = {"name": "x"} | {field: {"k": [text]} if field == "metadata" else text}
    made = await caller.ok("POST", "/datasets", body)

    assert found(await caller.ok("GET", "/datasets", params={"search": word})) == [made["id"]]
    assert found(await caller.ok("GET", "/datasets", params={"search": f"{word} 100%"})) == [made["id"]]
    assert found(await caller.ok("GET", "/datasets", params={"search": f"{word} 1_0%"})) == []
    assert made["id"] in found(await caller.ok("GET", "/datasets", params={"search": ""}))


async def test_id_in(caller: Caller) -> None:
    _, ids = await make_many(caller, 3)

    async def listed(*wanted: str) -> list[str]:
        return found(await caller.ok("GET", "/datasets", params={"id__in": ",".join(wanted)}))

    assert await listed(ids[1]) == [ids[1]]
    assert await listed(ids[0], ids[2], str(uuid4())) == [ids[2], ids[0]]
    assert await listed(str(uuid4())) == []


async def test_pages_neither_skip_nor_repeat(caller: Caller) -> None:
    word, ids = await make_many(caller, 5)
    first = await caller.ok("GET", "/datasets/", params={"search": word, "limit": 2})

    assert first["count"] == 5
    assert first["previous"] is None
    second = await caller.ok("GET", httpx.URL(first["next"]).raw_path.decode())
    third = await caller.ok("GET", httpx.URL(second["next"]).raw_path.decode())
    assert found(first) + found(second) + found(third) == ids[::-1]
    assert third["next"] is None
    assert "offset" not in httpx.URL(second["previous"]).params
    assert httpx.URL(third["previous"]).params["search"] == word
    assert found(await caller.ok("GET", "/datasets", params={"search": word, "offset": 50})) == []


@pytest.mark.parametrize("limit", ["0", "-1", "many", "1.5", "", "9" * 30])
async def test_limits_that_make_no_sense_are_the_default(caller: Caller, limit: str) -> None:
    word, ids = await make_many(caller, 1)

    page = await caller.ok("GET", "/datasets", params={"search": word, "limit": limit, "offset": limit})

    assert found(page) == ids


@pytest.mark.parametrize("resource", ["datasets", "dataset_items"])
async def test_soft_deletion(caller: Caller, dataset: dict[str, Any], resource: str) -> None:
    made = await caller.ok("POST", f"/{resource}", {"name": "x", "dataset": dataset["id"]})
    path = f"/{resource}/{made['id']}"

    refused = await caller.send("DELETE", path)
    assert (refused.status_code, refused.content) == (405, b"")
    assert await caller.ok("GET", path) == made
    assert (await caller.ok("PATCH", path, {"deleted": True}))["deleted"] is True
    assert made["id"] not in found(await caller.ok("GET", f"/{resource}"))
    assert (await caller.refused(404, "GET", path))["code"] == "not_found"
    assert (await caller.ok("PATCH", path, {"metadata": 1}))["deleted"] is True
    assert (await caller.ok("PATCH", path, {"deleted": False}))["deleted"] is False
    assert (await caller.ok("GET", path))["metadata"] == 1
    assert made["id"] in found(await caller.ok("GET", f"/{resource}"))


@pytest.mark.parametrize("value", [False, 0, "", [], {}, None, 1.0, 12345678901, "é", {"b": 1, "a": {"c": [True]}}])
async def test_json_of_items_comes_back_unchanged(caller: Caller, dataset: dict[str, Any], value: Any) -> None:
    body = {"dataset": dataset["id"], "input": value, "output": value, "metadata": value}

    made = await caller.ok("POST", "/dataset_items", body)

    assert set(made) == ITEM_KEYS
    for field in ("input", "output", "metadata"):
        assert made[field] == value
        assert type(made[field]) is type(value)
    assert await caller.ok("GET", f"/dataset_items/{made['id']}") == made


async def test_items_remember_where_they_came_from(caller: Caller, dataset: dict[str, Any]) -> None:
    origin = {"ref_trace_id": "t" * 255, "ref_source_id": "event", "ref_timestamp": "2026-03-01T12:00:00+02:00"}
    made = await caller.ok("POST", "/dataset_items", {"dataset": dataset["id"], **origin})

    assert made["ref_timestamp"] == "2026-03-01T10:00:00.000000Z"
    assert (made["ref_trace_id"], made["ref_source_id"]) == ("t" * 255, "event")
    naive = await caller.ok("PATCH", f"/dataset_items/{made['id']}", {"ref_timestamp": "2026-03-01T12:00:00"})
    assert naive["ref_timestamp"] == "2026-03-01T12:00:00.000000Z"
    assert (await caller.ok("PATCH", f"/dataset_items/{made['id']}", {"ref_trace_id": None}))["ref_trace_id"] is None


async def test_items_of_one_dataset(caller: Caller, stranger: Caller, dataset: dict[str, Any]) -> None:
    other = await caller.ok("POST", "/datasets", {"name": "other"})
    mine = await caller.ok("POST", "/dataset_items", {"dataset": dataset["id"]})
    await caller.ok("POST", "/dataset_items", {"dataset": other["id"]})

    assert found(await caller.ok("GET", "/dataset_items", params={"dataset": dataset["id"]})) == [mine["id"]]
    assert found(await stranger.ok("GET", "/dataset_items", params={"dataset": dataset["id"]})) == []
    for unknown in ("nonsense", str(uuid4())):
        assert (await caller.refused(400, "GET", "/dataset_items", params={"dataset": unknown}))["attr"] == "dataset"


async def test_another_project_changes_nothing(caller: Caller, stranger: Caller, dataset: dict[str, Any]) -> None:
    await stranger.refused(404, "PATCH", f"/datasets/{dataset['id']}", {"name": "stolen"})
    error = await stranger.refused(400, "POST", "/dataset_items", {"dataset": dataset["id"]})

    assert (error["attr"], error["code"]) == ("dataset", "does_not_exist")
    assert await caller.ok("GET", f"/datasets/{dataset['id']}") == dataset
    assert dataset["id"] not in found(await stranger.ok("GET", "/datasets"))


@dataclass(frozen=True, slots=True)
class Refusal:
    """A body that is refused, and for which field."""

    method: str
    path: str
    body: Any
    attr: str | None
    code: str


REFUSALS = [
    Refusal("POST", "/datasets", {}, "name", "required"),
    Refusal("POST", "/datasets", {"name": None}, "name", "null"),
    Refusal("POST", "/datasets", {"name": " \t"}, "name", "blank"),
    Refusal("POST", "/datasets", {"name": "x" * 401}, "name", "max_length"),
    Refusal("POST", "/datasets", {"name": ["x"]}, "name", "invalid"),
    Refusal("POST", "/datasets", {"name": "x", "description": 1}, "description", "invalid"),
    Refusal("POST", "/datasets", {"name": "x", "deleted": "perhaps"}, "deleted", "invalid"),
    Refusal("POST", "/datasets", [], None, "parse_error"),
    Refusal("PUT", "/datasets/{dataset}", {"description": "x"}, "name", "required"),
    Refusal("PATCH", "/datasets/{dataset}", {"name": ""}, "name", "blank"),
    Refusal("POST", "/dataset_items", {}, "dataset", "required"),
    Refusal("POST", "/dataset_items", {"dataset": None}, "dataset", "null"),
    Refusal("POST", "/dataset_items", {"dataset": "x"}, "dataset", "invalid"),
    Refusal("POST", "/dataset_items", {"dataset": str(uuid4())}, "dataset", "does_not_exist"),
    Refusal(
        "POST", "/dataset_items", {"dataset": "{dataset}", "ref_trace_id": "x" * 256}, "ref_trace_id", "max_length"
    ),
    Refusal("POST", "/dataset_items", {"dataset": "{dataset}", "ref_timestamp": "soon"}, "ref_timestamp", "invalid"),
    Refusal("POST", "/dataset_items", {"dataset": "{dataset}", "ref_source_id": 5}, "ref_source_id", "invalid"),
]


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: f"{case.method} {case.path} {case.attr} {case.code}")
async def test_refusals(caller: Caller, dataset: dict[str, Any], case: Refusal) -> None:
    body = json.loads(json.dumps(case.body).replace("{dataset}", dataset["id"]))

    error = await caller.refused(400, case.method, case.path.format(dataset=dataset["id"]), body)

    assert (error["attr"], error["code"]) == (case.attr, case.code)
    assert error["type"] == ("invalid_request" if case.code == "parse_error" else "validation_error")


@pytest.mark.parametrize("content", [b"{", b'{"name": NaN}', b"\xff", b'{"name": "x"} extra'])
async def test_what_is_no_json(caller: Caller, content: bytes) -> None:
    error = await caller.refused(400, "POST", "/datasets", content=content)

    assert (error["type"], error["code"]) == ("invalid_request", "parse_error")


@pytest.mark.parametrize("query", ["id__in=x", "order_by=name", "order_by=created_at,-size"])
async def test_faulty_queries(caller: Caller, query: str) -> None:
    error = await caller.refused(400, "GET", f"/datasets?{query}")

    assert error["attr"] == query.partition("=")[0]


@pytest.mark.parametrize("path", ["/datasets/nonsense", f"/datasets/{NOBODYS_ID}", f"/dataset_items/{NOBODYS_ID}"])
async def test_ids_that_name_nothing(caller: Caller, path: str) -> None:
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        assert (await caller.refused(404, method, path, {} if method != "GET" else None))["code"] == "not_found"
