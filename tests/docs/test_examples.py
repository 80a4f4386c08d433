"""Examples are what they say they are: each parses, and each command exists with its options."""

from __future__ import annotations

import ast
import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from tests.docs.pages import PAGES, ROOT, Example, examples, prose, read

from assay.cli.app import app

PARSERS = {"python": ast.parse, "json": json.loads, "yaml": yaml.safe_load, "toml": tomllib.loads}
# Typer brings a copy of click in some versions and imports it in others, so its classes cannot be named here.
COMMANDS: Any = typer.main.get_command(app)


@pytest.mark.parametrize("example", examples(*PARSERS), ids=str)
def test_an_example_parses(example: Example) -> None:
    assert PARSERS[example.language](example.text)


def commands(text: str) -> list[str]:
    """The calls of ``assay`` in a shell script, without what stands before them."""
    joined = text.replace("\\\n", " ")
    return re.findall(r"^(?:[A-Z_]+=\S+ )*(?:uv run )?assay ([^#\n|>&]*)", joined, re.MULTILINE)


def check_command(line: str) -> None:
    """Walk the tree of commands and look up every option.

    Raises:
        AssertionError: A command or an option does not exist.
    """
    command = COMMANDS
    for word in shlex.split(line.replace("…", "x")):
        name = word.partition("=")[0]
        if name.startswith("-"):
            known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
            assert name in known | {"--help", "-h"}, f"{name} is no option of `assay {line}`"
        elif (group := getattr(command, "commands", None)) is not None:
            assert word in group, f"{word} is no command in `assay {line}`"
            command = group[word]


@pytest.mark.parametrize("example", examples("sh", "bash", "console"), ids=str)
def test_its_commands_exist(example: Example) -> None:
    for line in commands(example.text):
        check_command(line)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_running_text_exist(page: Path) -> None:
    for text in re.findall(r"`(?:uv run )?assay ([^`]+)`", prose(page)):
        check_command(text.replace("|", " ").split(" N")[0])


@pytest.mark.parametrize("line", ["launch", "serve --fast"])
def test_a_wrong_command_is_found(line: str) -> None:
    with pytest.raises(AssertionError, match="is no"):
        check_command(line)


def test_the_two_commands_of_the_readme() -> None:
    first = next(example for example in examples("bash") if example.page == ROOT / "README.md")
    assert [line.partition("#")[0].strip() for line in first.text.splitlines()] == [
        "uv run assay demo",
        "uv run pytest",
    ]


def test_short_names_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"\bmake ([a-z]+)(?=[`\s])", _code(read(page)))}
    assert named
    assert named <= targets


def _code(text: str) -> str:
    """Only what is set as code."""
    return "\n".join([*re.findall(r"`([^`\n]+`)", text), *re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)])
