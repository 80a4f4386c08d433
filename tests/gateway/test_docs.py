"""The examples of ``docs/models.md`` are valid configuration."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from assay.gateway.config import ModelConfig, ProviderConfig, file_part
from assay.gateway.generation import Generation
from assay.gateway.simulator.provider import Behaviour

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text("utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_valid(example: str, tmp_path: Path) -> None:
    path = tmp_path / "assay.toml"
    path.write_text(example, "utf-8")
    part = file_part(path, lambda name: "secret")
    assert part.models


@pytest.mark.parametrize("name", [*ProviderConfig.model_fields, *Behaviour.model_fields])
def test_every_option_is_documented(name: str) -> None:
    assert name in PAGE


@pytest.mark.parametrize("name", ["provider", "upstream", "type", "prices", "max_batch_size", "details"])
def test_the_main_fields_of_a_model_are_documented(name: str) -> None:
    assert name in ModelConfig.model_fields
    assert re.search(rf"^{name} = ", PAGE, re.MULTILINE)


def test_every_generation_parameter_is_documented() -> None:
    table = PAGE.partition("## Generation parameters")[2].partition("## Simulated models")[0]
    named = set(re.findall(r"`([a-z_]+)`", table))
    assert {item.name for item in fields(Generation)} - {"fingerprint"} <= named
    assert {"until", "do_sample", "max_gen_toks"} <= named
