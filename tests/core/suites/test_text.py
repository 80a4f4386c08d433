"""Manifests as people write them: lines of faults, and what strangers' texts may not do."""

from __future__ import annotations

import pytest

from assay.core.suites.manifest import ManifestError, parse_manifest
from assay.core.suites.manifest.text import TextFaultError, read_manifest_text, write_manifest_text

GOOD = """\
tasks:
  - id: sums
    type: numeric
    dataset:
      file_id: file_x
    metrics: [{id: numeric_match}]
  - id: words
    type: quiz
    dataset: {file_id: file_x}
"""


def test_each_fault_has_its_line() -> None:
    data, lines = read_manifest_text(GOOD)
    with pytest.raises(ManifestError) as caught:
        parse_manifest(data)
    assert [(fault.path, lines.of(fault.path)) for fault in caught.value.faults] == [("tasks[1].type", 8)]
    assert lines.of("tasks[0].dataset.file_id") == 5
    assert lines.of("tasks[0].metrics[0].id") == 6
    # What is missing stands where the part stands that lacks it.
    assert lines.of("tasks[1].prompt_template") == 7
    assert lines.of("nowhere") is None or lines.of("nowhere") == 1


def test_json_is_read_too() -> None:
    data, lines = read_manifest_text('{"tasks": [\n  {"id": "a", "type": "qa", "dataset": {"file_id": "f"}}\n]}')
    assert data["tasks"][0]["type"] == "qa"
    assert lines.of("tasks[0].type") == 2


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("tasks: [", 1, "expected the node content"),
        ("tasks:\n  - id: a\n  bad\n", 4, "could not find"),
        ("a: 1\na: 2\n", 2, "given twice"),
        ("a: &x [1]\nb: *x\n", 2, "aliases are not read"),
        ("!!python/object/apply:os.system [ls]", 1, "could not determine a constructor"),
        ("[" * 100, 1, "nested too deeply"),
    ],
)
def test_texts_that_are_no_manifest(text: str, line: int, reason: str) -> None:
    with pytest.raises(TextFaultError, match=reason) as caught:
        read_manifest_text(text)
    assert caught.value.line == line


def test_empty_and_huge_texts() -> None:
    with pytest.raises(ManifestError, match="is empty"):
        read_manifest_text("# nothing\n")
    with pytest.raises(ManifestError, match="move data into dataset files"):
        read_manifest_text("a: " + "x" * 3_000_000)


def test_what_is_written_reads_back_the_same() -> None:
    manifest = {
        "tasks": [
            {
                "prompt_template": "First line.\n\n{{question}}\n",
                "type": "qa",
                "id": "t",
                "target_template": "2026-01-01",
                "metadata": {"a": "yes", "b": "trailing \nspace", "c": ["1", 1, None, True]},
                "dataset": {"file_id": "f"},
            }
        ]
    }
    text = write_manifest_text(manifest)
    assert read_manifest_text(text)[0] == manifest
    assert text.index("id: t") < text.index("type: qa") < text.index("dataset:") < text.index("prompt_template: |")
