"""Names and messages of the ``agent_run`` workflow."""

from __future__ import annotations

from dataclasses import dataclass

WORKFLOW = "agent_run"
WAKE = "wake"
"""The signal that ends a sleep; what came with it is read from the database."""


@dataclass(frozen=True)
class AgentRunInput:
    """Which run is to be carried out."""

    run_id: str
