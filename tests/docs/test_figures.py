"""Tables of the reference say what the code does."""

from __future__ import annotations

import importlib.util
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, get_args

import pytest
from annotated_types import Le
from fastapi.routing import APIRoute
from meetkai_mka1 import SDK
from prometheus_client import REGISTRY
from pydantic import BaseModel
from pydantic_settings import BaseSettings
from tests.docs.pages import PAGES, ROOT, read

import assay.metrics
from assay.core import metadata
from assay.core.capture import types as capture
from assay.core.capture import validation
from assay.core.datasets import reading
from assay.core.events import service as events
from assay.core.files import service as files
from assay.core.projects import service as projects
from assay.core.projects.types import MAX_DELEGATE_LENGTH
from assay.core.requests import service as requests
from assay.core.runs import answers, groups, judging, lane, ledger, prepare, recorder, service, types
from assay.core.runs.rows import MAX_ROWS
from assay.core.suites import service as suites
from assay.core.suites import sources
from assay.core.suites.manifest import ManifestError, parse_manifest, parsing
from assay.dialects.edge import bodies
from assay.dialects.edge.statuses import STATUS_OF_KIND
from assay.dialects.mka1 import app, query
from assay.dialects.mka1.errors import TYPE_OF_KIND
from assay.dialects.mka1.identifiers import Prefix
from assay.dialects.posthog.capture import route as routes
from assay.gateway import generation
from assay.gateway.providers import transport
from assay.kit.errors import ErrorKind
from assay.kit.secrets import MINIMUM_KEY_LENGTH
from assay.scoring import extraction, fewshot, templates
from assay.settings import DatabaseSettings, FileSettings, Settings
from assay.workflows.eval_run import shared

OPERATING = read(ROOT / "docs" / "operating.md")
DIALECTS = read(ROOT / "docs" / "dialects.md")
TRAFFIC = read(ROOT / "docs" / "traffic.md")
ARCHITECTURE = read(ROOT / "docs" / "architecture.md")

MIB, KIB = 1024 * 1024, 1024
MAX_TASKS = 100


def rows(page: str, title: str) -> dict[str, str]:
    """The two-column table under a heading."""
    section = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", page, re.MULTILINE | re.DOTALL)
    assert section is not None, f"no heading {title}"
    return {
        left.strip(): right.strip() for left, right in re.findall(r"^\| (.+?) \| (.+?) \|$", section[1], re.MULTILINE)
    }


def upper(annotated: Any) -> Any:
    """The ``le`` of an annotated query parameter."""
    return next(bound.le for bound in get_args(annotated)[1].metadata if isinstance(bound, Le))


def seconds(span: timedelta) -> str:
    return f"{span.total_seconds():g}"


LIMITS = {
    "JSON body of a request": f"{bodies.MAX_JSON_BYTES // MIB} MiB, nested {bodies.MAX_JSON_DEPTH} deep",
    "upload": f"{FileSettings.model_fields['max_bytes'].default // MIB} MiB (`ASSAY_FILES_MAX_BYTES`)",
    "file name": f"{files.MAX_FILENAME_LENGTH} characters",
    "metadata": f"{metadata.MAX_PAIRS} pairs; "
    f"key {metadata.MAX_KEY_LENGTH}, value {metadata.MAX_VALUE_LENGTH} characters",
    "suite name, description": f"{suites.MAX_NAME_LENGTH} and {suites.MAX_DESCRIPTION_LENGTH:,} characters",
    "manifest": f"{parsing.MAX_BYTES // MIB} MiB, nested {parsing.MAX_DEPTH} deep, {MAX_TASKS} tasks",
    "grader or preprocessor source": f"{sources.MAX_SOURCE_BYTES // KIB} KiB",
    "dataset row": f"{reading.MAX_RECORD_BYTES // MIB} MiB, nested {reading.MAX_DEPTH} deep",
    "rows of one task": f"{MAX_ROWS:,}; later ones are not read",
    "template": f"{templates.MAX_TEMPLATE_CHARS:,} characters; {templates.MAX_RENDERED_CHARS:,} when rendered",
    "few-shot examples": f"{fewshot.MAX_EXAMPLES}",
    "extraction pattern": f"{extraction.MAX_PATTERN_CHARS:,} characters, "
    f"{extraction.MATCH_TIMEOUT_SECONDS} s on one output",
    "models of a run": f"{service.MAX_MODELS}",
    "`generation_concurrency`, `concurrency`, `grader_concurrency`": f"1 to {types.MAX_CONCURRENCY:,}; default "
    f"{types.DEFAULT_GENERATION_CONCURRENCY} for generation, {types.DEFAULT_GRADER_CONCURRENCY} for graders",
    "samples that one `grade_batch` sees": f"{groups.MAX_GROUP_SAMPLES:,}",
    "texts of one `embeddings_create`": f"{judging.MAX_EMBEDDED_TEXTS:,}",
    "a model's answer": f"{answers.MAX_OUTPUT_CHARACTERS:,} characters; cut",
    "a model's reasoning": f"{answers.MAX_REASONING_BYTES // KIB} KiB; cut, with a mark",
    "a provider's reply": f"{transport.MAX_REPLY_BYTES // MIB} MiB",
    "stop sequences": f"{generation.MAX_STOP_SEQUENCES}",
    "page of suites, versions, runs": f"{upper(query.PageLimit)}",
    "page of samples": f"{upper(query.SamplePageLimit)}",
    "page of files": f"{upper(query.FilePageLimit):,}",
    "`sample_index` filter": f"{query.MAX_SAMPLE_INDEXES} indexes",
    "`Idempotency-Key`": f"{requests.MAX_KEY_LENGTH} characters, "
    f"kept {requests.KEYED_LIFETIME.total_seconds() / 3600:g} hours",
    "`X-On-Behalf-Of`": f"{MAX_DELEGATE_LENGTH} characters",
    "statement of the API": f"{DatabaseSettings.model_fields['statement_timeout_seconds'].default:g} s "
    "(`ASSAY_DATABASE_STATEMENT_TIMEOUT_SECONDS`)",
}


def test_the_limits_are_those_of_the_code() -> None:
    documented = rows(OPERATING, "Limits")
    del documented["what"]
    assert documented == LIMITS


def test_a_manifest_takes_as_many_tasks_as_the_page_says() -> None:
    tasks = [{"id": f"t{number}", "type": "qa", "dataset": {"file_id": "f"}} for number in range(MAX_TASKS + 1)]
    assert len(parse_manifest({"tasks": tasks[:MAX_TASKS]}).tasks) == MAX_TASKS
    with pytest.raises(ManifestError, match="tasks"):
        parse_manifest({"tasks": tasks})


@pytest.mark.parametrize(
    ("page", "claim"),
    [
        (OPERATING, f"lanes of {prepare.SAMPLES_PER_LANE}"),
        (OPERATING, f"at least {MINIMUM_KEY_LENGTH} characters"),
        (OPERATING, f"at least {projects.MIN_PRESET_KEY_LENGTH} characters"),
        (ARCHITECTURE, f"cut chunks of {ledger.CHUNK_SIZE}"),
        (ARCHITECTURE, f"for each {prepare.SAMPLES_PER_LANE} of concurrency"),
        (ARCHITECTURE, f"up to {recorder.LARGEST_WRITE} samples"),
        (ARCHITECTURE, f"is free after {seconds(ledger.LEASE)} s"),
        (ARCHITECTURE, f"after {shared.DEFAULT_ACTIVITIES_PER_EXECUTION} lane activities"),
        (ARCHITECTURE, f"{requests.UNKEYED_LIFETIME.total_seconds():g} seconds at most"),
        (TRAFFIC, f"{capture.MAX_EVENTS:,} events, an event at most {capture.MAX_EVENT_BYTES // 2**20} MiB"),
        (TRAFFIC, f"1 to {capture.MAX_NAME_CHARACTERS} characters"),
        (TRAFFIC, f"cut after {capture.MAX_DISTINCT_ID_CHARACTERS} characters"),
        (TRAFFIC, f"more than {validation.MAX_AHEAD.total_seconds() / 3600:g} hours ahead"),
        (TRAFFIC, f"up to {events.MAX_PERSON_BYTES // 1024} KiB"),
        (TRAFFIC, f"looks at {events.MAX_EXAMINED:,} events"),
        (TRAFFIC, f"{events.MAX_PAGE_BYTES // 2**20} MiB of properties"),
        (TRAFFIC, f"the first {events.MAX_TRACE_EVENTS:,} events"),
        (TRAFFIC, f"{routes.BATCH_BYTES // 2**20} MiB, {routes.AI_BYTES // 2**20} MiB"),
        (DIALECTS, f"1 to {types.MAX_CONCURRENCY:,}"),
        (DIALECTS, f"within {requests.UNKEYED_LIFETIME.total_seconds():g} seconds"),
    ],
)
def test_a_figure_is_that_of_the_code(page: str, claim: str) -> None:
    assert claim in page.replace("\n", " ")


def test_a_lane_returns_when_the_page_says() -> None:
    assert timedelta(minutes=10) == lane.LONGEST_LANE
    assert "after ten minutes at the latest" in ARCHITECTURE


@dataclass(frozen=True, slots=True)
class Operation:
    method: str
    path: str
    scope: str


def served() -> Iterator[Operation]:
    """Every operation of the dialect, with the scope its dependencies ask for."""
    for router in app.routers():
        for route in router.routes:
            assert isinstance(route, APIRoute)
            scopes = [getattr(need.call, "scope", None) for need in route.dependant.dependencies]
            scope = next((f"`{scope.value}`" for scope in scopes if scope is not None), "any key")
            for method in route.methods or ():
                yield Operation(method, route.path.replace(":path", ""), scope)


def address(path: str) -> str:
    """The whole path of one that the page gives relative to its part of the API."""
    return f"/api/v1{path}" if path.startswith("/agents") else f"/api/v1/llm{path}"


def documented() -> dict[str, Operation]:
    found = re.findall(r"^\| `([a-z_.]+)` \| `([A-Z]+) (/\S*)` \| (.+?) \|$", DIALECTS, re.MULTILINE)
    return {client: Operation(method, address(path), scope) for client, method, path, scope in found}


def ours() -> set[Operation]:
    """Operations that the published API does not have."""
    found = re.findall(r"^\| none: [^|]+ \| `([A-Z]+) (/\S*)` \| (.+?) \|$", DIALECTS, re.MULTILINE)
    return {Operation(method, address(path), scope) for method, path, scope in found}


def test_the_operations_are_those_that_are_served() -> None:
    assert set(documented().values()) | ours() == set(served())


@pytest.mark.parametrize("name", list(documented()))
def test_the_client_has_the_operation(name: str) -> None:
    resource, _, method = name.partition(".")
    with SDK(bearer_auth="x", server_url="http://127.0.0.1:9") as sdk:
        part = sdk if resource.startswith("agent") else sdk.llm
        assert inspect.ismethod(getattr(getattr(part, resource), method))


@pytest.mark.parametrize("kind", ErrorKind)
def test_every_kind_of_error_is_in_the_table(kind: ErrorKind) -> None:
    assert f"| {STATUS_OF_KIND[kind]} | `{TYPE_OF_KIND[kind]}` |" in DIALECTS


def test_every_prefix_is_named() -> None:
    assert [prefix for prefix in Prefix if f"`{prefix.value}`" not in DIALECTS] == []


def test_every_metric_is_named() -> None:
    assert assay.metrics.MODEL_CALLS is not None
    ours = {family.name: family.type for family in REGISTRY.collect() if family.name.startswith("assay_")}
    exposed = {f"{name}_total" if kind == "counter" else name for name, kind in ours.items()}
    assert exposed == set(re.findall(r"^\| `(assay_\w+)` \|", OPERATING, re.MULTILINE))


def variables(area: type[BaseModel]) -> Iterator[str]:
    for name, field in area.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseSettings):
            yield from variables(inner)
        else:
            yield f"{area.model_config.get('env_prefix', '')}{name}".upper()


@pytest.mark.parametrize("variable", list(variables(Settings)))
def test_every_setting_is_documented(variable: str) -> None:
    assert any(re.search(rf"\b{variable}\b", read(page)) for page in PAGES if page.parent.name == "docs")


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`((?:assay|core|dialects)\.[a-z_.]+)`", ARCHITECTURE))))
def test_every_module_of_the_architecture_exists(name: str) -> None:
    parts = ["assay", *name.removeprefix("assay.").split(".")]
    module = next(
        (module for end in range(len(parts), 1, -1) if (module := _module(".".join(parts[:end]))) is not None), None
    )
    assert module is not None
    for attribute in parts[len(module.split(".")) :]:
        assert hasattr(importlib.import_module(module), attribute)


def _module(name: str) -> str | None:
    try:
        return name if importlib.util.find_spec(name) is not None else None
    except ModuleNotFoundError:
        return None
