"""`assay run` and `assay runs`, against one server: examples, tutorial, bad input, interruption."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.assay_process import AssayProcess, Finished, environment, run_assay, running_assay

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
TUTORIAL = ROOT / "docs" / "tutorial.md"
CONFIG = {
    "ASSAY_CONFIG": str(EXAMPLES / "assay.toml"),
    "ASSAY_HUB_FOLDER": str(EXAMPLES / "hub-dataset" / "hub"),
}

ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum")
LABELS = {"accuracy", *(f"{name}{kind}" for name in ("f1", "precision", "recall") for kind in ("", "_weighted"))}
DISTANCES = {f"{kind}_{name}" for kind in ("cosine", "manhattan", "euclidean") for name in ("pearson", "spearman")}
RANKING = ("ndcg", "map", "recall", "precision", "mrr", "hit_rate")
MODELS = {"transcription": "simulator/transcription", "embedding": "simulator/embedding"}
"""Of the examples that no chat model can carry out."""
SUMS = """
tasks:
  - id: sums
    type: qa
    prompt_template: "{{question}}"
    target_template: "{{answer}}"
"""


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[AssayProcess]:
    """A running `assay serve` that knows the examples' models."""
    with tempfile.TemporaryDirectory(prefix="assay-cli-") as folder:
        home = Path(folder) / "home"
        home.mkdir(mode=0o700)
        async with running_assay("serve", "--port", "0", "--json", home=home, variables=CONFIG) as process:
            yield process


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sums.yaml").write_text(SUMS)
    write_rows(tmp_path / "rows.jsonl", 4)
    return tmp_path


def write_rows(path: Path, count: int) -> None:
    rows = ({"question": f"{number} + 1", "answer": str(number + 1)} for number in range(count))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


async def run_in(server: AssayProcess, folder: Path, *options: str, model: str = "simulator/strong") -> Finished:
    """`assay run` of the folder's manifest on the running server."""
    arguments = ("run", str(folder / "sums.yaml"), "--model", model, *options)
    return await run_assay(*arguments, home=server.home)


def counts_of(document: dict[str, Any]) -> tuple[int, int, int]:
    counts = document["run"]["request_counts"]
    return counts["total"], counts["completed"], counts["failed"]


@pytest.mark.parametrize(
    ("name", "metrics"),
    [
        ("classification/manifest.yaml", {"accuracy", "exact_match", "f1_macro", "f1_micro", "f1_weighted"}),
        ("multiple-choice/manifest.json", {"accuracy", "exact_match", "f1_macro", "f1_micro", "f1_weighted"}),
        ("qa/manifest.yaml", {"exact_match", "f1"}),
        ("numeric/manifest.yaml", {"numeric_match"}),
        ("math/manifest.yaml", {"exact_match"}),
        ("semantic-similarity/manifest.yaml", {"cosine_similarity"}),
        ("transcription/manifest.yaml", {"wer", "cer", "corpus_wer", "corpus_cer"}),
        ("embedding/manifest.yaml", {f"{family}_at_{k}" for family in RANKING for k in (1, 3, 10)}),
        ("embedding-sts/manifest.yaml", {*DISTANCES, "cosine_similarity"}),
        ("embedding-classification/manifest.yaml", LABELS),
        ("embedding-multilabel/manifest.yaml", {"lrap", "accuracy", "f1", "hamming"}),
        (
            "embedding-reranking/manifest.yaml",
            {"map", "mrr", *(f"{family}_at_{k}" for family in RANKING for k in (1, 3))},
        ),
        ("hub-dataset/manifest.yaml", {"exact_match", "f1"}),
        ("summarization/manifest.yaml", {*ROUGE, "bleu", "chrf", "corpus_bleu", "corpus_chrf"}),
        ("custom-grader/manifest.yaml", {"recall", "precision"}),
        ("batch-grader/manifest.yaml", {"hit", "mean_by_bird"}),
        ("judge/manifest.yaml", {"accepted"}),
        ("judge-rubric/manifest.yaml", {"names_cause"}),
        ("judge-checklist/manifest.yaml", {"advice", "advice.right", "advice.one_line"}),
        ("judge-pairwise/manifest.yaml", {"beats_today"}),
        ("preprocess/manifest.yaml", {"exact_match", "f1"}),
        ("few-shot/manifest.yaml", {"exact_match", "f1"}),
    ],
)
async def test_example(server: AssayProcess, name: str, metrics: set[str]) -> None:
    data = ("--data", str(EXAMPLES / "qa/harbour.jsonl")) if name.startswith("qa/") else ()
    model = MODELS.get(re.split("[-/]", name)[0], "simulator/strong")
    ran = await run_assay("run", str(EXAMPLES / name), *data, "--model", model, "--json", home=server.home)
    assert ran.exit_code == 0, ran.err
    total, completed, _ = counts_of(ran.json)
    assert completed == total > 0
    (task,) = ran.json["run"]["metrics"]["by_task"].values()
    assert set(task["metrics"]) == metrics
    # The model is right in 92 of 100; one that did not find its answers would be wrong throughout.
    result = ran.json["results"][0]
    assert result["value"] >= 0.5 if result["higher_is_better"] else result["value"] <= 0.2


def test_every_example_is_run() -> None:
    (marker,) = (mark for mark in test_example.pytestmark if mark.name == "parametrize")  # type: ignore[attr-defined]
    tested = {name for name, _ in marker.args[1]}
    assert tested == {str(path.relative_to(EXAMPLES)) for path in EXAMPLES.glob("*/manifest.*")}


async def test_results_are_printed_and_saved(server: AssayProcess, folder: Path) -> None:
    output = folder / "made" / "results"
    ran = await run_in(
        server, folder, "--data", str(folder / "rows.jsonl"), "--model", "simulator/weak", "--output", str(output),
        "--generation", "temperature=0.5", "--max-samples", "3", "--concurrency", "2",
    )  # fmt: skip
    assert ran.exit_code == 0, ran.err
    assert re.search(r"sums +exact_match +95 % interval", ran.out)
    assert "simulator/strong" in ran.out
    assert "sums: simulator/" in ran.out
    results = json.loads((output / "results.json").read_text())
    assert results["generation"] == {"temperature": 0.5}
    samples = [json.loads(line) for line in (output / "samples.jsonl").read_text().splitlines()]
    assert [(sample["model"], sample["sample_index"]) for sample in samples] == [
        (model, index) for model in ("simulator/strong", "simulator/weak") for index in range(3)
    ]
    assert "6/6 samples" in ran.err


async def test_runs_of_one_manifest_share_suite_and_version(server: AssayProcess, folder: Path) -> None:
    first = await run_in(server, folder, "--data", str(folder / "rows.jsonl"), "--suite", "shared", "--json")
    again = await run_in(server, folder, "--data", str(folder / "rows.jsonl"), "--suite", "shared", "--json")
    write_rows(folder / "rows.jsonl", 5)
    changed = await run_in(server, folder, "--data", str(folder / "rows.jsonl"), "--suite", "shared", "--json")
    runs = [ran.json["run"] for ran in (first, again, changed)]
    assert len({run["suite_id"] for run in runs}) == 1
    assert [run["suite_version"] for run in runs] == [1, 1, 2]


async def test_missed_threshold_fails(server: AssayProcess, folder: Path) -> None:
    rows = ("--data", str(folder / "rows.jsonl"))
    ran = await run_in(server, folder, *rows, "--fail-under", "exact_match=0", "--fail-under", "f1=1.5", "--json")
    assert ran.exit_code == 1
    assert [sentence.split(" of ")[0] for sentence in ran.json["missed_thresholds"]] == ["sums: f1"]
    assert "sums: f1 of simulator/strong" in ran.err


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b'{"question": "1 + 1", "answer": "2"}\n{"question": ', "line 2", id="truncated"),
        pytest.param(b"", "no rows", id="no rows"),
        pytest.param(b'{"q": "1 + 1", "answer": "2"}\n', "no column 'question'", id="other column"),
    ],
)
async def test_bad_rows_fail_the_run(server: AssayProcess, folder: Path, content: bytes, reason: str) -> None:
    (folder / "bad.jsonl").write_bytes(content)
    ran = await run_in(server, folder, "--data", str(folder / "bad.jsonl"))
    assert ran.exit_code == 1
    assert "failed: Task 'sums'" in ran.err
    assert reason in ran.err


@pytest.mark.parametrize(
    ("change", "options", "reason"),
    [
        pytest.param(("type: qa", "type: qaa"), (), "tasks[0].type: must be", id="type"),
        pytest.param(
            ("id: sums", "id: sums\n    grader: {source_file: bad.py}"), (), "tasks[0].grader.file_id: ", id="code"
        ),
        pytest.param(("", ""), ("--task", "other"), "'other', which this suite version does not have", id="task"),
        pytest.param(("", ""), ("--model", "gpt-4o-mini"), "Set OPENAI_API_KEY", id="no key"),
        pytest.param(("", ""), ("--generation", "heat=1"), "generation.heat is not known", id="generation"),
        pytest.param(("", ""), ("--generation", "heat"), "<key>=<value>", id="no pair"),
        pytest.param(("", ""), ("--fail-under", "much"), "<metric>=<number>", id="threshold"),
    ],
)
async def test_bad_input_is_explained(
    server: AssayProcess, folder: Path, change: tuple[str, str], options: tuple[str, ...], reason: str
) -> None:
    (folder / "bad.py").write_text("def grade(sample, item:")
    (folder / "sums.yaml").write_text(SUMS.replace(*change, 1))
    ran = await run_in(server, folder, "--data", str(folder / "rows.jsonl"), *options)
    assert (ran.exit_code, ran.out) == (2, "")
    assert reason in ran.err


async def test_failed_samples_are_shown_and_run_again(server: AssayProcess, folder: Path) -> None:
    (folder / "picky.py").write_text("def grade(sample, item):\n    return 1 / (int(item['answer']) - 2)\n")
    (folder / "sums.yaml").write_text(SUMS.replace("id: sums", "id: sums\n    grader: {source_file: picky.py}"))
    ran = await run_in(server, folder, "--data", str(folder / "rows.jsonl"), "--json")
    assert ran.exit_code == 0
    assert counts_of(ran.json) == (4, 3, 1)
    assert "sums, simulator/strong, row 2: " in ran.err
    again = await run_assay("runs", "rerun-failed", ran.json["run"]["id"], "--json", home=server.home)
    assert again.exit_code == 0
    assert again.json["run"]["id"] == ran.json["run"]["id"]
    assert counts_of(again.json) == (4, 3, 1)


async def test_run_without_any_answer_fails(server: AssayProcess, folder: Path) -> None:
    (folder / "broken.py").write_text("def grade(sample, item):\n    raise ValueError('always')\n")
    (folder / "sums.yaml").write_text(SUMS.replace("id: sums", "id: sums\n    grader: {source_file: broken.py}"))
    ran = await run_in(server, folder, "--data", str(folder / "rows.jsonl"))
    assert ran.exit_code == 1
    assert "4 of 4 samples failed" in ran.err


async def test_interrupted_run_is_cancelled_and_continued(server: AssayProcess, folder: Path) -> None:
    write_rows(folder / "rows.jsonl", 400)
    arguments = ("run", str(folder / "sums.yaml"), "--data", str(folder / "rows.jsonl"), "--concurrency", "8")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "assay", *arguments, "--model", "simulator/strong",
        stdout=PIPE, stderr=PIPE, env=environment(server.home),
    )  # fmt: skip
    assert process.stderr is not None
    while b"/400 samples" not in await asyncio.wait_for(process.stderr.readline(), 30):
        pass
    process.send_signal(signal.SIGINT)
    _, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 130
    found = re.search(r"run (eval_run_\w+) is cancelled. Continue it with `assay runs retry \1`", err.decode())
    assert found, err.decode()
    continued = await run_assay("runs", "retry", found[1], "--json", home=server.home)
    assert continued.exit_code == 0, continued.err
    assert counts_of(continued.json) == (400, 400, 0)
    listed = await run_assay("runs", "list", "--json", "--limit", "1", home=server.home)
    assert listed.json[0]["id"] == found[1]


async def test_labels_of_a_run(server: AssayProcess, folder: Path) -> None:
    ran = await run_in(server, folder, "--data", str(folder / "rows.jsonl"), "--output", str(folder), "--json")
    assert ran.exit_code == 0, ran.err
    samples = [json.loads(line)["id"] for line in (folder / "samples.jsonl").read_text().splitlines()]
    labels = folder / "labels.jsonl"
    rows = [
        {
            "sample_id": samples[0],
            "metric": "polite",
            "value": "pass",
            "labeler": "anna",
            "note": "Short, but kind.",
        },
        {"sample_id": samples[1], "metric": "polite", "value": 0, "labeler": "ben"},
    ]
    labels.write_text("".join(json.dumps(row) + "\n" for row in rows))
    first = await run_assay("labels", "import", str(labels), home=server.home)
    assert (first.exit_code, first.out) == (0, "2 labels: 2 new, 0 replaced.\n"), first.err
    again = await run_assay("labels", "import", str(labels), "--json", home=server.home)
    assert (again.json["created"], again.json["replaced"]) == (0, 2)
    theirs = await run_assay("labels", "list", "--labeler", "ben", "--metric", "polite", "--json", home=server.home)
    assert [(label["value"], label["note"]) for label in theirs.json] == [(0.0, None)]
    shown = await run_assay("labels", "list", "--kind", "sample", home=server.home)
    assert re.search(r"polite +1 +anna +Short, but kind\.", shown.out)
    labels.write_text('{"event_id": "00000000-0000-4000-8000-000000000001", "metric": "polite", "value": 1}\n')
    refused = await run_assay("labels", "import", str(labels), home=server.home)
    assert refused.exit_code == 2
    assert "no such event" in refused.err


async def test_runs_in_a_wrong_state_are_left_alone(server: AssayProcess, folder: Path) -> None:
    ran = await run_in(server, folder, "--data", str(folder / "rows.jsonl"), "--json")
    run_id = ran.json["run"]["id"]
    cancelled = await run_assay("runs", "cancel", run_id, home=server.home)
    assert (cancelled.exit_code, cancelled.err) == (1, "assay: A completed run cannot be cancelled.\n")
    shown = await run_assay("runs", "show", run_id, home=server.home)
    assert shown.exit_code == 0
    assert run_id in shown.out
    assert "exact_match" in shown.out


async def test_server_by_address(server: AssayProcess, folder: Path) -> None:
    rows = ("--data", str(folder / "rows.jsonl"))
    address = ("--server", server.url, "--api-key")
    ran = await run_assay(
        "run", str(folder / "sums.yaml"), *rows, "--model", "simulator/strong", "--json", *address,
        server.ready["api_key"], home=folder,
    )  # fmt: skip
    assert ran.exit_code == 0, ran.err
    assert ran.json["server"] == server.url
    assert not (folder / "lock").exists()  # nothing was started here
    refused = await run_in(server, folder, *rows, *address, "mk-nobody-has-this-key")
    assert refused.exit_code == 1
    assert "key is not valid" in refused.err


async def test_absent_server_is_noticed_at_once(folder: Path) -> None:
    ran = await run_assay("runs", "list", "--server", "http://127.0.0.1:9", "--api-key", "mk-any", home=folder)
    assert ran.exit_code == 1
    assert "http://127.0.0.1:9 does not answer" in ran.err


async def test_demo_says_that_a_server_is_in_its_way(server: AssayProcess) -> None:
    ran = await run_assay("demo", "--json", home=server.home)
    assert (ran.exit_code, ran.out.count("\n")) == (1, 0)
    assert server.url in ran.err
    assert "--home" in ran.err


FENCE = re.compile(r"```(?P<language>\w+)\n(?P<content>.*?)```", re.DOTALL)
FILE_NAMES = {"jsonl": ["sums.jsonl"], "yaml": ["sums.yaml", "graded.yaml"], "python": ["closeness.py"]}


async def test_tutorial(server: AssayProcess, tmp_path: Path) -> None:
    names = {language: iter(files) for language, files in FILE_NAMES.items()}
    ran: list[str] = []
    for block in FENCE.finditer(TUTORIAL.read_text()):
        if block["language"] in names:
            name = next(names[block["language"]])
            assert f"`{name}`" in TUTORIAL.read_text()[: block.start()]
            (tmp_path / name).write_text(block["content"])
        else:
            ran += [await follow(line, server, tmp_path) for line in block["content"].splitlines()]
    assert ran.count("run") == 5
    assert (tmp_path / "results" / "samples.jsonl").is_file()


async def follow(line: str, server: AssayProcess, folder: Path) -> str:
    """Carry out a command of the tutorial; gives its name. The demo has a test of its own."""
    needs_key = line.startswith("OPENAI_API_KEY=… ")
    words = shlex.split(line.removeprefix("OPENAI_API_KEY=… "))
    assert words[:3] == ["uv", "run", "assay"]
    command = words[3]
    if command == "demo":
        assert len(words) == 4
        return command
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "assay", *words[3:], stdout=PIPE, stderr=PIPE, env=environment(server.home), cwd=folder
    )
    out, err = await asyncio.wait_for(process.communicate(), 40)
    assert process.returncode == (2 if needs_key else 0), (line, out, err)
    assert not needs_key or b"OPENAI_API_KEY" in err
    return command
