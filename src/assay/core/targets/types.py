"""Words of agents and what belongs to them."""

from __future__ import annotations

from enum import StrEnum


class DatasetOrigin(StrEnum):
    """Where a dataset version comes from."""

    SEED = "seed"
    SYNTHETIC = "synthetic"
    AUGMENTED = "augmented"
    PRODUCTION = "production"


class SuggestionStatus(StrEnum):
    """What became of a suggestion."""

    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    APPLIED = "applied"


SPEC_PARTS = (
    "input_schema",
    "output_fields",
    "output_schema",
    "tool_config",
    "tool_analysis",
    "consistency_rules",
    "optimizable_elements",
    "fixed_elements",
    "proposed_criteria",
    "policy_data",
    "dataset_input_keys",
    "eval_dataset",
    "evaluation_criteria",
    "agent_description",
    "improvement_metadata",
    "backtest_metadata",
    "backtest_model_suggestions",
)
"""The JSON columns of an agent that say how its answers are judged, and what jobs noted about it (O§2.3)."""
