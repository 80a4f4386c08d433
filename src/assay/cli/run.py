"""`assay run`: evaluate a file of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from assay.cli.console import ExitCode, prepare_quietly
from assay.cli.evaluation.options import ApiKey, AsJson, Config, Home, Server

Manifest = Annotated[
    Path, typer.Argument(metavar="MANIFEST", help="YAML or JSON, see docs/manifest.md.", exists=True, dir_okay=False)
]
Data = Annotated[
    Path | None, typer.Option(help="Rows (.jsonl, .csv) for the tasks without a dataset.", exists=True, dir_okay=False)
]
Models = Annotated[list[str], typer.Option("--model", "-m", help="Model to evaluate. Repeatable.")]
Tasks = Annotated[list[str] | None, typer.Option("--task", help="Task to run, instead of all. Repeatable.")]
Concurrency = Annotated[int | None, typer.Option(min=1, max=1024, help="Most model calls at a time.")]
MaxSamples = Annotated[int | None, typer.Option(min=1, help="Only the first rows of each task.")]
Repeats = Annotated[
    int | None, typer.Option(min=1, max=100, help="Ask each prompt so often, for pass@k, pass^k and their intervals.")
]
Budget = Annotated[float | None, typer.Option(min=0, help="What all calls may cost together, in dollars.")]
JudgeModel = Annotated[str | None, typer.Option(help="What `auto` means in graders.")]
EmbeddingModel = Annotated[str | None, typer.Option(help="What `auto` means in graders' embeddings.")]
Generation = Annotated[
    list[str] | None, typer.Option(metavar="KEY=VALUE", help="Generation parameter, e.g. temperature=0. Repeatable.")
]
FailUnder = Annotated[
    list[str] | None,
    typer.Option(metavar="METRIC=NUMBER", help="Exit with 1 if a task or model is below. Repeatable."),
]
Suite = Annotated[str | None, typer.Option("--suite", help="Name of the suite; by default the manifest's file name.")]
Output = Annotated[
    Path | None, typer.Option(help="Folder for results.json and samples.jsonl.", file_okay=False, writable=True)
]


def run(
    manifest: Manifest,
    *,
    models: Models,
    data: Data = None,
    tasks: Tasks = None,
    concurrency: Concurrency = None,
    max_samples: MaxSamples = None,
    repeats: Repeats = None,
    budget: Budget = None,
    judge_model: JudgeModel = None,
    embedding_model: EmbeddingModel = None,
    generation: Generation = None,
    fail_under: FailUnder = None,
    suite: Suite = None,
    output: Output = None,
    home: Home = None,
    config: Config = None,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate models on your own rows.

    Without --server this uses the Assay that runs on ASSAY_HOME, or starts one for the time of the command.
    Exits with 0 when the run completes, 1 when it fails or is below --fail-under, 2 when the input is at fault.
    """
    from assay.cli.evaluation import command, suitefile, summary
    from assay.cli.evaluation.publish import publish_suite
    from assay.cli.evaluation.target import open_target, with_home

    settings = with_home(prepare_quietly(), home, config=config)
    local = suitefile.load_suite(manifest, data=data, name=suite)
    thresholds = [summary.parse_threshold(text) for text in fail_under or ()]
    options = {
        "models": models,
        "task_ids": tasks or None,
        "concurrency": concurrency,
        "max_samples_per_task": max_samples,
        "repeats": repeats,
        "budget_usd": budget,
        "judge_model": judge_model,
        "embedding_model": embedding_model,
        "generation": command.parse_generation(generation or ()) or None,
    }

    async def main() -> ExitCode:
        async with open_target(settings, server=server, api_key=api_key) as target:
            published = await publish_suite(target.client, local)
            version = {"suite_id": published.suite_id, "suite_version": published.version}
            given = {name: value for name, value in options.items() if value is not None}
            made = await target.client.create_run({**version, **given})
            ended = await command.carry_out(target.client, made)
            return await command.conclude(
                target.client, ended, published.manifest, as_json=as_json, thresholds=thresholds, output=output
            )

    command.run_command(main())
