"""Errors (M§1.7, M§7 R1): one table for every kind, one envelope for every answer."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import pytest
from tests.support.mka1 import Client, check_envelope

import assay
from assay.dialects.edge.statuses import STATUS_OF_KIND
from assay.dialects.mka1.errors import TYPE_OF_KIND, render_error
from assay.dialects.mka1.wire.errors import WireError
from assay.kit.errors import DomainError, ErrorKind

SUITES = "/api/v1/llm/evals/suites"


def all_errors() -> list[type[DomainError]]:
    """Every subclass in the package, in order of name."""
    for module in pkgutil.walk_packages(assay.__path__, "assay."):
        if ".migrations" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    return sorted(set(_subclasses(DomainError)), key=lambda error: (error.__module__, error.__qualname__))


def _subclasses(error: type[DomainError]) -> Iterator[type[DomainError]]:
    for subclass in error.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


ERRORS = [error for error in all_errors() if error.__module__.startswith("assay.")]


def test_the_table_has_every_kind() -> None:
    assert set(STATUS_OF_KIND) == set(TYPE_OF_KIND) == set(ErrorKind)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__qualname__)
def test_every_error_has_an_answer(error: type[DomainError]) -> None:
    if inspect.isabstract(error) or not hasattr(error, "kind"):
        pytest.skip("never raised itself")
    assert error.kind in ErrorKind
    if not error.__name__.startswith("_"):
        assert error.code
        assert error.code == error.code.lower()
    raised = error.__new__(error)
    DomainError.__init__(raised, "What was wrong.", param="field", data={"more": 1})
    raised.__dict__.setdefault("code", getattr(error, "code", "code"))

    response = render_error(raised)

    assert 400 <= response.status_code < 600
    body = WireError.model_validate_json(bytes(response.body))
    assert body.error.message == "What was wrong."
    assert (response.headers.get("retry-after") is not None) == (response.status_code == 503)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api", 404),
        ("GET", "/api/v1/llm/evals", 404),
        ("POST", "/api/v1/llm/evals/suites/x/unknown", 404),
        ("GET", "/api/v1/sandboxes", 404),
        ("GET", "/%00", 404),
        ("GET", "//", 404),
        ("PUT", SUITES, 405),
        ("PATCH", f"{SUITES}/x", 405),
        ("DELETE", SUITES, 405),
        ("GET", "/api/v1/llm/evals/runs/x/cancel", 405),
        ("OPTIONS", SUITES, 405),
        ("BREW", SUITES, 405),
    ],
)
async def test_unknown_paths_and_methods(prober: Client, method: str, path: str, status: int) -> None:
    answer = await prober.raw(method, path)

    assert answer.status in ({status, 400} if method == "BREW" else {status})
    if answer.status == status:
        check_envelope(answer)


async def test_every_answer_has_a_request_id(client: Client) -> None:
    ids = [(await client.raw("GET", path)).headers["x-request-id"] for path in (SUITES, "/none", f"{SUITES}/x")]

    assert len(set(ids)) == 3


@pytest.mark.parametrize("value", ["", "Bearer", "Basic abc", "mk-key", "Bearer a b", "bearer mk-x"])
async def test_malformed_credentials(prober: Client, value: str) -> None:
    answer = await prober.raw("GET", SUITES, headers={"Authorization": value})

    assert answer.status == 401
    check_envelope(answer)
