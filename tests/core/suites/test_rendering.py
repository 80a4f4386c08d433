"""Tasks made ready to run, and the prompts and targets they give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from assay.core.suites.compile import CompiledTask, compile_manifest, compile_task
from assay.core.suites.manifest import ManifestError, parse_manifest
from assay.core.suites.manifest.schema import GraderExecution
from assay.core.suites.rendering import Rendered, RenderError, RowRenderer
from assay.sandbox.contract import EntryPoint

GRADE = "def grade(sample, item):\n    return 1.0\n"
GRADE_BATCH = "def grade_batch(samples):\n    return [1.0 for sample in samples]\n"
BOTH = GRADE + GRADE_BATCH

ROWS: list[dict[str, Any]] = [
    {"q": "1+1", "a": 2, "question": "One and one?", "answer": "two"},
    {"q": "2+2", "a": 4, "question": "Two and two?", "answer": None},
    {"q": "3+3", "a": 6, "question": "Three and three?", "answer": "six"},
]


def compiled(**fields: Any) -> CompiledTask:
    task = {"id": "sums", "type": "qa", "dataset": {"file_id": "file_1"}, **fields}
    return compile_task(parse_manifest({"tasks": [task]}).tasks[0])


def render(index: int = 0, rows: list[dict[str, Any]] | None = None, **fields: Any) -> Rendered:
    return RowRenderer(compiled(**fields), ROWS if rows is None else rows).render(index)


def test_templates() -> None:
    assert render(1, prompt_template="What is {{q}}?", target_template="{{a}}") == Rendered("What is 2+2?", "4", None)


def test_columns_stand_in_for_templates() -> None:
    assert render() == Rendered("One and one?", "two", None)
    assert render(1).target is None
    assert render(rows=[{"text": "t", "input": "i", "label": "l", "output": "o"}]) == Rendered("i", "l", None)
    assert render(rows=[{"prompt": "p"}]).target is None


def test_choices_come_from_the_task_or_the_row() -> None:
    rows = [{"prompt": "p", "choices": ["x", "y"]}, {"prompt": "p", "choices": "x,y"}, {"prompt": "p", "choices": [1]}]
    assert render(0, rows).choices == ("x", "y")
    assert [render(index, rows).choices for index in (1, 2)] == [None, None]
    given = render(0, rows, choices=["a", "b"], prompt_template="{{choices.1}} of {{choices}}")
    assert given == Rendered('b of ["a","b"]', None, ("a", "b"))


def test_fewshot_from_the_own_rows_leaves_the_own_row_out() -> None:
    fields: dict[str, Any] = {
        "prompt_template": "{{q}}=",
        "target_template": "{{a}}",
        "fewshot": {"count": 2, "separator": "; "},
    }
    assert render(0, **fields) == Rendered("2+2=\n4; 3+3=\n6; 1+1=", "2", None, (1, 2))
    assert render(2, **fields) == Rendered("1+1=\n2; 2+2=\n4; 3+3=", "6", None, (0, 1))


def test_fewshot_with_its_own_pool_and_templates() -> None:
    task = compiled(
        prompt_template="{{q}}=",
        target_template="{{a}}",
        fewshot={
            "dataset": {"file_id": "file_2"},
            "prompt_template": "{{ask}}",
            "target_template": "{{tell}}",
            "example_template": "Q {{prompt}} A {{target}} ({{level}})",
        },
        num_fewshot=1,
    )
    assert task.fewshot is not None
    assert task.fewshot.pool_dataset is not None
    assert task.fewshot.pool_dataset.file_id == "file_2"
    pool = [{"ask": "0+0", "tell": 0, "level": "easy"}]
    assert RowRenderer(task, ROWS, fewshot_pool=pool).render(0).prompt == "Q 0+0 A 0 (easy)\n\n1+1="


def test_fewshot_by_columns() -> None:
    assert render(1, fewshot={"count": 1}).prompt == "One and one?\ntwo\n\nTwo and two?"


def test_fewshot_naming_the_same_file_is_the_own_split() -> None:
    task = compiled(fewshot={"count": 1, "dataset": {"file_id": "file_1"}})
    assert task.fewshot is not None
    assert task.fewshot.pool_dataset is None


def test_random_fewshot_depends_on_seed_and_index_alone() -> None:
    rows = [{"prompt": str(number), "target": str(-number)} for number in range(50)]
    task = compiled(fewshot={"count": 5, "strategy": "random", "seed": 3})
    picks = [RowRenderer(task, rows).render(index).fewshot_indexes for index in range(50)]
    again = RowRenderer(task, rows)
    assert [again.render(index).fewshot_indexes for index in reversed(range(50))] == picks[::-1]
    assert all(index not in chosen and len(set(chosen)) == 5 for index, chosen in enumerate(picks))
    other = compiled(fewshot={"count": 5, "strategy": "random", "seed": 4})
    assert RowRenderer(other, rows).render(0).fewshot_indexes != picks[0]


def test_a_shortened_run_keeps_the_whole_pool() -> None:
    task = compiled(prompt_template="{{q}}", target_template="{{a}}", fewshot={"count": 2})
    assert RowRenderer(task, ROWS[:1], fewshot_pool=ROWS).render(0).fewshot_indexes == (1, 2)


@pytest.mark.parametrize(
    ("index", "rows", "fields", "says"),
    [
        (1, None, {"prompt_template": "{{nope}}"}, "Task 'sums', row 2: The row has no column 'nope'"),
        (0, None, {"target_template": "{{a.b}}"}, "row 1: 'a' is a number"),
        (1, [{"prompt": "p"}, {"text": "t"}], {}, "row 2: The row has no column 'prompt'"),
        (0, [{"prompt": None}], {}, "row 1: the prompt {{prompt}} is null"),
        (2, None, {"fewshot": {"count": 3}}, "row 3: 3 few-shot examples are wanted, but the pool has 2 rows"),
        (0, None, {"fewshot": {"count": 1, "prompt_template": "{{x}}"}}, "few-shot row 2: The row has no column 'x'"),
    ],
)
def test_faulty_rows_are_named(index: int, rows: Any, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(RenderError) as caught:
        render(index, rows, **fields)
    assert says in caught.value.message
    assert caught.value.data["task_id"] == "sums"


@pytest.mark.parametrize(
    ("rows", "fields", "says"),
    [
        ([], {}, "no rows for its prompts"),
        ([{"x": 1, "y": 2}], {}, "none of the columns prompt, question, input, text"),
        ([{"prompt": "p"}], {"fewshot": {"count": 1}}, "none of the columns target, answer, label, output"),
    ],
)
def test_rows_that_cannot_be_rendered_at_all(rows: Any, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(RenderError, match=says):
        RowRenderer(compiled(**fields), rows)


def test_scoring_without_a_grader() -> None:
    task = compiled(type="numeric", output_extraction={"type": "regex_last", "pattern": r"= (\d+)"})
    assert task.grader is None
    assert task.scorer is not None
    assert task.scorer.metric_ids == ("numeric_match",)
    assert task.extractor.extract("= 1 = 22") == "22"


@pytest.mark.parametrize(
    ("fields", "source", "entry_point", "execution"),
    [
        ({}, GRADE, EntryPoint.GRADE, GraderExecution.PER_SAMPLE),
        ({"contract": "batch"}, BOTH, EntryPoint.GRADE_BATCH, GraderExecution.AGGREGATE),
        ({"execution": "aggregate"}, BOTH, EntryPoint.GRADE_BATCH, GraderExecution.AGGREGATE),
        ({"contract": "batch", "execution": "per_sample"}, BOTH, EntryPoint.GRADE, GraderExecution.PER_SAMPLE),
        ({"contract": "model_backed"}, BOTH, EntryPoint.GRADE, GraderExecution.PER_SAMPLE),
        ({"contract": "model_backed"}, GRADE_BATCH, EntryPoint.GRADE_BATCH, GraderExecution.AGGREGATE),
    ],
)
def test_entry_point_of_a_grader(
    fields: Mapping[str, Any], source: str, entry_point: EntryPoint, execution: GraderExecution
) -> None:
    grader = compiled(grader={"source": source, **fields}).grader
    assert grader is not None
    assert grader.program.entry_point is entry_point
    assert grader.execution is execution
    assert grader.allows_models == (fields.get("contract") == "model_backed")


def test_programs_in_files() -> None:
    task = {"id": "t", "type": "custom", "dataset": {"file_id": "f"}}
    grader = {"file_id": "file_g", "metric_id": "m", "timeout_seconds": 7, "max_model_calls": 9}
    manifest = parse_manifest(
        {"tasks": [{**task, "grader": grader, "preprocess": {"file_id": "file_p", "contract": "batch"}}]}
    )
    sources = {"file_g": GRADE, "file_p": "def transform_batch(rows):\n    return rows\n"}
    (one,) = compile_manifest(manifest, sources=sources)
    assert one.scorer is None
    assert one.grader is not None
    assert (one.grader.metric_id, one.grader.timeout_seconds, one.grader.max_model_calls) == ("m", 7, 9)
    assert one.preprocess is not None
    assert one.preprocess.program.entry_point is EntryPoint.TRANSFORM_BATCH
    with pytest.raises(ManifestError) as caught:
        compile_manifest(manifest, sources={"file_g": "def grade(:", "file_p": GRADE})
    assert caught.value.message.startswith("tasks[0].grader.file_id: syntax error")
    assert caught.value.param == "tasks[0].grader.file_id"
