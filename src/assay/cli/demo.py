"""`assay demo`: a whole evaluation on bundled data, without a key or a service."""

from __future__ import annotations

import asyncio
import json
import shlex
import shutil
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assay.cli.console import ExitCode, prepare_quietly
from assay.cli.evaluation.options import AsJson, Home
from assay.embedded.home import AssayHome
from assay.kit.errors import ConflictError

if TYPE_CHECKING:
    from assay.cli.evaluation.target import Target
    from assay.settings import Settings

SIMULATED_MODELS = ("simulator/strong", "simulator/weak", "simulator/limited")
SUITE_NAME = "Assay demo"
CONCURRENCY = 48
KEPT_PORT = 8400
_FILES = ("manifest.yaml", "tickets.jsonl", "questions.jsonl", "grader.py", "assay.toml")

Models = Annotated[
    list[str] | None,
    typer.Option("--model", "-m", help="Real model instead of the simulated ones, e.g. gpt-4o-mini. Repeatable."),
]
Keep = Annotated[bool, typer.Option("--keep", "--serve", help="Keep the server up afterwards, until Ctrl-C.")]


class DemoServerError(ConflictError):
    """A server that does not know the demo's models runs on the home."""

    code = "demo_server_in_the_way"


@dataclass(frozen=True, slots=True)
class DemoFolder:
    """The demo's files, laid out where people can look at them."""

    path: Path

    @property
    def manifest(self) -> Path:
        """Both tasks."""
        return self.path / "manifest.yaml"

    @property
    def config(self) -> Path:
        """What the simulated models are like."""
        return self.path / "assay.toml"


def demo(*, models: Models = None, home: Home = None, keep: Keep = False, as_json: AsJson = False) -> None:
    """See a whole evaluation happen: 229 labelled rows in two tasks, three simulated models.

    Everything runs on this machine; nothing is downloaded or billed. With --model it asks real models instead.
    """
    from assay.cli.evaluation.command import run_command
    from assay.cli.evaluation.target import with_home

    settings = with_home(prepare_quietly(), home)
    folder = write_folder(settings.core.home.expanduser() / "demo")
    simulated = not models
    settings = _embedded(with_home(settings, None, config=folder.config if simulated else None))
    run_command(
        _run(
            settings,
            folder,
            models=models or list(SIMULATED_MODELS),
            simulated=simulated,
            keep=keep,
            as_json=as_json,
            home=home,
        )
    )


def _embedded(settings: Settings) -> Settings:
    """The settings without external services: the demo leaves those alone."""
    return settings.model_copy(
        update={
            "database": settings.database.model_copy(update={"url": None}),
            "temporal": settings.temporal.model_copy(update={"address": None, "tls": False, "api_key": None}),
            "files": settings.files.model_copy(update={"url": None}),
        }
    )


def write_folder(path: Path) -> DemoFolder:
    """Copy the bundled files, and write the simulated models' answer key beside them."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in _FILES:
        with resources.as_file(resources.files("assay.demo") / name) as bundled:
            shutil.copyfile(bundled, path / name)
    lines = [*_ticket_answers(path / "tickets.jsonl"), *_question_answers(path / "questions.jsonl")]
    (path / "answers.jsonl").write_text("".join(lines), "utf-8")
    return DemoFolder(path)


def _ticket_answers(path: Path) -> list[str]:
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [_answer(row["ticket"], f"Category: {row['category']}", "tickets") for row in rows]


def _question_answers(path: Path) -> list[str]:
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [_answer(row["question"], row["answer"], row["topic"]) for row in rows]


def _answer(prompt: str, answer: str, group: str) -> str:
    return json.dumps({"prompt": prompt, "answer": answer, "group": group}, ensure_ascii=False) + "\n"


async def _run(
    settings: Settings,
    folder: DemoFolder,
    *,
    models: list[str],
    simulated: bool,
    keep: bool,
    as_json: bool,
    home: Path | None,
) -> ExitCode:
    from assay.cli.evaluation import command, suitefile
    from assay.cli.evaluation.publish import publish_suite
    from assay.cli.evaluation.target import open_target

    _say(f"Starting PostgreSQL, Temporal, API and worker in {settings.core.home} …", as_json=as_json)
    async with open_target(settings, port=KEPT_PORT if keep else 0) as target:
        if simulated and not target.own:
            raise DemoServerError(
                f"An Assay runs on {settings.core.home} already ({target.client.base_url}), and does not know the "
                "demo's simulated models. Stop it, or give another --home; with --model the demo would use it."
            )
        suite = suitefile.load_suite(folder.manifest, name=SUITE_NAME)
        published = await publish_suite(target.client, suite)
        _say(f"Evaluating {', '.join(models)} on {len(published.manifest['tasks'])} tasks.", as_json=as_json)
        run = await target.client.create_run(
            {
                "suite_id": published.suite_id,
                "suite_version": published.version,
                "models": models,
                "concurrency": CONCURRENCY,
                "generation": {"use_cache": False} if simulated else {},
            }
        )
        ended = await command.carry_out(target.client, run)
        code = await command.conclude(target.client, ended, published.manifest, as_json=as_json)
        if not as_json:
            prefix = "" if home is None else f"ASSAY_HOME={shlex.quote(str(home))} "
            _say_what_next(target, folder, run["id"], simulated=simulated, keep=keep, prefix=prefix)
        if keep and target.own:
            await _wait_for_stop(target, as_json=as_json)
        return code


def _say(sentence: str, *, as_json: bool) -> None:
    typer.echo(sentence, err=as_json)


def _say_what_next(
    target: Target, folder: DemoFolder, run_id: str, *, simulated: bool, keep: bool, prefix: str
) -> None:
    lines = [""]
    if simulated:
        lines.append("These models are simulated, and so are their prices: nothing was billed.")
    if target.own and not keep:
        lines.append(f"Server       stopped. Start it again with `{prefix}assay serve`")
    else:
        lines.append(f"Server       {target.client.base_url} (API documentation: {target.client.base_url}/docs)")
    lines += [
        f"Credentials  {AssayHome(folder.path.parent).credentials_file}",
        f"This run     {run_id}: `{prefix}assay runs show {run_id}`",
        f"Its files    {folder.path}",
        "Your own     docs/tutorial.md, and the manifests in examples/",
    ]
    for line in lines:
        typer.echo(line)


async def _wait_for_stop(target: Target, *, as_json: bool) -> None:
    _say(f"Serving at {target.client.base_url} until Ctrl-C.", as_json=as_json)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
