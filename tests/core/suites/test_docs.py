"""The reference of the manifest keeps its word."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from assay.core.suites.compile import compile_manifest
from assay.core.suites.manifest import parse_manifest, refuse_unsupported, schema
from assay.core.suites.manifest.schema import Part
from assay.core.suites.rendering import PROMPT_COLUMNS, TARGET_COLUMNS, RowRenderer

DOCS = Path(__file__).parents[3] / "docs"
TEXT = (DOCS / "manifest.md").read_text(encoding="utf-8")
JUDGES = (DOCS / "judges.md").read_text(encoding="utf-8")


def test_the_example_compiles_and_renders() -> None:
    example = re.search(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert example is not None
    manifest = parse_manifest(yaml.safe_load(example[1]))
    refuse_unsupported(manifest)
    sentiment, capitals = compile_manifest(manifest, sources={})
    rows = [{"review": f"review {number}", "label": "positive"} for number in range(3)]
    rendered = RowRenderer(sentiment, rows).render(0)
    assert rendered.fewshot_indexes == (1, 2)
    assert rendered.prompt.endswith("review 0\n")
    assert RowRenderer(capitals, [{"country": "Chad", "capital": "N'Djamena"}]).render(0).target == "N'Djamena"


def test_every_field_and_value_is_named() -> None:
    parts = [part for part in vars(schema).values() if isinstance(part, type) and issubclass(part, Part)]
    documented = [part for part in parts if part is not schema.EmbeddingConfig]
    names = {name for part in documented for name in part.model_fields}
    values = {*schema.TaskType, *schema.GraderContract, *schema.GraderExecution, *PROMPT_COLUMNS, *TARGET_COLUMNS}
    prose = re.sub(r"```.*?```", "", TEXT + JUDGES, flags=re.DOTALL)
    code = " ".join(re.findall(r"`([^`]+)`", prose))
    missing = sorted(name for name in names | values if not re.search(rf"\b{re.escape(name)}\b", code))
    assert missing == []
