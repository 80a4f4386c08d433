"""Names and messages of the ``agent_run`` and ``response`` workflows: ids and counters only, never what was said."""

from __future__ import annotations

from dataclasses import dataclass

WORKFLOW = "agent_run"
RESPONSE = "response"
"""The workflow of a response that belongs to no run."""
WAKE = "wake"
"""The workflows' one signal: somebody sent something to a sleeping response."""

SUBMIT = "agent_run.submit"
BEGIN = "agent_run.begin"
TURN = "agent_run.turn"
COMPACT = "agent_run.compact"
STEP = "agent_run.step"
END_SLEEP = "agent_run.end_sleep"
COMPLETE = "agent_run.complete"
FAIL = "agent_run.fail"
SETTLE = "agent_run.settle"


@dataclass(frozen=True)
class AgentRunInput:
    """Which run to carry out."""

    run_id: str


@dataclass(frozen=True)
class Progress:
    """Where a response stands, for a workflow that begins or continues as new."""

    response_id: str
    turn: int = 0
    begun: bool = False
    max_turns: int = 100
    """Turns of one workflow execution before it continues as new."""


@dataclass(frozen=True)
class Submitted:
    """The response that a run became."""

    response_id: str | None
    """None when the run has ended."""


@dataclass(frozen=True)
class Begun:
    """What comes before the first turn."""

    steps: int | None
    """None when the response has ended."""


@dataclass(frozen=True)
class StepRef:
    """A step, or a turn, of a response."""

    response_id: str
    number: int


@dataclass(frozen=True)
class TurnDone:
    """What a turn leads to."""

    over: bool = False
    compact: bool = False
    first: int = 0
    count: int = 0
    parallel: bool = True
    last: bool = False


@dataclass(frozen=True)
class StepDone:
    """How far a step is."""

    over: bool = False
    sleep_seconds: float | None = None
    waiting: bool = False


@dataclass(frozen=True)
class Failure:
    """A response that cannot go on, with the word for why."""

    response_id: str
    code: str
