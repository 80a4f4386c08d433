"""Writes the pages of the documentation that are made from the program: ``python -m assay.cli.reference docs``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import typer
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from assay.cli.app import app
from assay.settings import Settings

_HEAD = "<!-- Made by `python -m assay.cli.reference docs`; change the program, not this page. -->\n"


def settings_page() -> str:
    """Every setting, by area, as Markdown."""
    parts = [f"{_HEAD}\n# Settings\n\nEvery setting is an environment variable. Options of a command come before it.\n"]
    for area in Settings.model_fields.values():
        if isinstance(area.annotation, type) and issubclass(area.annotation, BaseSettings):
            parts.append(_area(area.annotation))
    return "\n".join(parts)


def _area(settings: type[BaseSettings]) -> str:
    title = (settings.__doc__ or settings.__name__).strip().splitlines()[0].rstrip(".")
    prefix = settings.model_config.get("env_prefix", "")
    rows = [
        f"| `{(prefix + name).upper()}` | {_default(name, field)} | {field.description or ''} |"
        for name, field in settings.model_fields.items()
    ]
    return "\n".join([f"## {title}\n", "| variable | default | meaning |", "|---|---|---|", *rows, ""])


def _default(name: str, field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "user data folder" if name == "home" else "made at start"
    if field.default is None:
        return "–"
    default: object = field.default
    return f"`{default.get_secret_value() if isinstance(default, SecretStr) else _plain(default)}`"


def _plain(default: object) -> object:
    return str(default).lower() if isinstance(default, bool) else default


def cli_page() -> str:
    """Every command with its arguments and options, as Markdown."""
    # Not the help as the library lays it out: that changes from version to version of it.
    return f"{_HEAD}\n# Commands\n" + "".join(_commands(typer.main.get_command(app), "assay"))


def _commands(command: Any, path: str) -> Iterator[str]:
    yield f"\n## `{path}`\n\n{_paragraphs(command.help or '')}\n"
    rows = [_parameter(parameter) for parameter in command.params]
    if rows:
        yield "\n" + "\n".join(["| option | default | meaning |", "|---|---|---|", *rows]) + "\n"
    for name, child in getattr(command, "commands", {}).items():
        yield from _commands(child, f"{path} {name}")


def _paragraphs(text: str) -> str:
    return "\n".join(line.strip() for line in text.strip().splitlines())


def _parameter(parameter: Any) -> str:
    named = ", ".join(f"`{option}`" for option in (*parameter.opts, *parameter.secondary_opts))
    shown = named if named.startswith("`-") else f"`<{parameter.name}>`"
    bare = parameter.required or parameter.default is None or parameter.default is False
    default = "required" if parameter.required else "" if bare else f"`{parameter.default}`"
    return f"| {shown} | {default} | {parameter.help or ''} |"


PAGES: Mapping[str, Callable[[], str]] = {"settings.md": settings_page, "cli.md": cli_page}


def main(folder: Path) -> None:
    """Write the pages into a folder."""
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
