"""What is refused before anything is started."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pytest
import typer
from typer.testing import CliRunner

from assay.cli.app import app
from assay.cli.keys import parse_expiry
from assay.cli.models import Role
from assay.cli.projects import parse_project
from assay.gateway.types import ModelRole
from assay.kit.clock import utc_now


@dataclass(frozen=True)
class Refused:
    name: str
    arguments: tuple[str, ...]
    says: str


REFUSED = [
    Refused("port out of range", ("serve", "--port", "70000"), "65535"),
    Refused("negative workers", ("serve", "--workers", "-1"), "--workers"),
    Refused("log level", ("serve", "--log-level", "loud"), "--log-level"),
    Refused("expiry", ("keys", "create", "x", "--expires", "soon"), "12h, 30d or 8w"),
    Refused("key id", ("keys", "revoke", "7"), "UUID"),
    Refused("project", ("keys", "list", "--project", "first"), "assay projects list"),
    Refused("role", ("models", "add", "a/b", "--role", "king"), "--role"),
    Refused("key without provider", ("models", "add", "a/b", "--key-stdin"), "--base-url"),
    Refused("price", ("models", "add", "a/b", "--output-price", "1"), "--input-price"),
    Refused("two keys", ("models", "add", "a/b", "--key-stdin", "--ask-key"), "give one of"),
    Refused("unset variable", ("models", "add", "a/b", "--key-env", "ASSAY_NO_SUCH_VARIABLE"), "is not set"),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_wrong_usage_is_refused(case: Refused) -> None:
    result = CliRunner().invoke(app, case.arguments, input="sk-1\n")
    assert result.exit_code == 2
    assert case.says in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("text", "period"), [("12h", timedelta(hours=12)), ("30d", timedelta(days=30)), ("8w", timedelta(weeks=8))]
)
def test_expiry_as_a_period(text: str, period: timedelta) -> None:
    assert abs(parse_expiry(text) - utc_now() - period) < timedelta(seconds=5)


def test_expiry_as_a_time_is_utc_without_a_zone() -> None:
    assert parse_expiry("2030-01-02").isoformat() == "2030-01-02T00:00:00+00:00"
    assert parse_expiry("2030-01-02T03:00:00+02:00").utcoffset() == timedelta(hours=2)


@pytest.mark.parametrize("text", ["", "30", "d", "-3d", "999999w", "tomorrow"])
def test_other_expiries_are_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_expiry(text)


def test_every_role_of_the_gateway_can_be_given() -> None:
    assert {role.value for role in Role} == {role.value for role in ModelRole}


def test_project_by_number_or_id() -> None:
    assert parse_project("12") == 12
    assert str(parse_project("01a20167-07cc-7427-83ff-39646364556a")) == "01a20167-07cc-7427-83ff-39646364556a"
