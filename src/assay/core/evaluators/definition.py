"""What decides a verdict, checked before it is stored (P§2.4, P§3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assay.core.evaluators.errors import DefinitionError, SourceError
from assay.core.evaluators.outputs import normalize_output
from assay.core.evaluators.targets import normalize_target
from assay.core.evaluators.types import Definition, EvaluatorKind, ModelChoice, OutputKind, TargetKind
from assay.sandbox.hog import HogCompileError, Program, compile_program

SENTIMENT_SOURCE = "user_messages"

_PROGRAMMED = frozenset({OutputKind.BOOLEAN, OutputKind.NUMERIC, OutputKind.CATEGORICAL})
OUTPUTS: dict[EvaluatorKind, frozenset[OutputKind]] = {
    EvaluatorKind.LLM_JUDGE: _PROGRAMMED,
    EvaluatorKind.HOG: _PROGRAMMED,
    EvaluatorKind.SENTIMENT: frozenset({OutputKind.SENTIMENT}),
}
"""Which outputs a kind of evaluator can have."""


def define(
    *,
    kind: EvaluatorKind,
    config: Mapping[str, Any],
    output_kind: OutputKind,
    output_config: Mapping[str, Any],
    target: TargetKind,
    target_config: Mapping[str, Any],
    model: ModelChoice | None,
) -> Definition:
    """A definition in its normal form: unknown keys dropped, missing ones filled in.

    Raises:
        DefinitionError: Something is wrong; ``param`` says what.
    """
    if output_kind not in OUTPUTS[kind]:
        raise DefinitionError("pair", f"A {kind.value} evaluation cannot have a {output_kind.value} output.")
    normal_config = _normalize_config(kind, config)
    normal_output = normalize_output(output_kind, output_config)
    if kind is EvaluatorKind.SENTIMENT and target is not TargetKind.GENERATION:
        raise DefinitionError("target", "Sentiment is judged of generations only.")
    normal_target = normalize_target(target, target_config)
    _check_model(kind, model)
    return Definition(
        kind=kind,
        config=normal_config,
        output_kind=output_kind,
        output_config=normal_output,
        target=target,
        target_config=normal_target,
        model=model,
    )


def compile_source(source: str) -> Program:
    """The program of a Hog evaluator.

    Raises:
        SourceError: With line and column.
    """
    try:
        return compile_program(source)
    except HogCompileError as error:
        raise SourceError(error) from error


def _normalize_config(kind: EvaluatorKind, config: Mapping[str, Any]) -> dict[str, Any]:
    match kind:
        case EvaluatorKind.LLM_JUDGE:
            return {"prompt": _text(config, "prompt").strip()}
        case EvaluatorKind.HOG:
            source = _text(config, "source")
            compile_source(source)
            return {"source": source}
        case EvaluatorKind.SENTIMENT:
            if config.get("source", SENTIMENT_SOURCE) != SENTIMENT_SOURCE:
                raise DefinitionError("config", f"`source` must be `{SENTIMENT_SOURCE}`.")
            return {"source": SENTIMENT_SOURCE}


def _text(config: Mapping[str, Any], name: str) -> str:
    value = config.get(name)
    if not isinstance(value, str) or not value.strip():
        raise DefinitionError("config", f"`{name}` must be a text that is not blank.")
    return value


def _check_model(kind: EvaluatorKind, model: ModelChoice | None) -> None:
    if kind is EvaluatorKind.LLM_JUDGE and model is None:
        raise DefinitionError("model", "A judge needs a model: give its provider and its name.")
    if kind is not EvaluatorKind.LLM_JUDGE and model is not None:
        raise DefinitionError("model", f"A {kind.value} evaluation calls no model; leave this out or null.")
