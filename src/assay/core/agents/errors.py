"""What can be wrong with agents.

NotFoundError
├── AgentNotFoundError, AgentVersionNotFoundError, FunctionToolNotFoundError
├── AgentRunNotFoundError, AgentScheduleNotFoundError, ApprovalNotFoundError
InvalidError
├── AgentInputError           a field is out of its bounds
├── UnknownReferenceError     a tool names a function tool or an agent that is not there
├── DepthError                agents call agents too deeply
└── EmptyUpdateError          nothing is to be changed
ConflictError
├── AgentBusyError            runs have not ended
├── AgentStateError           it is deleted, or is not, or cannot be brought back any more
├── AgentRunStateError        the run has ended, or is not asleep
├── AgentScheduleStateError   the schedule is completed
└── ApprovalDecidedError      it was decided before
UnavailableError
└── ToolSecretStorageError    there is no key for a tool's secrets
"""

from __future__ import annotations

from assay.core.agents.types import RunStatus, ScheduleStatus
from assay.kit.errors import ConflictError, InvalidError, NotFoundError, UnavailableError


class AgentNotFoundError(NotFoundError):
    """No such agent is visible to the caller."""

    code = "agent_not_found"

    def __init__(self) -> None:
        super().__init__("No such agent.", param="agent_id")


class AgentVersionNotFoundError(NotFoundError):
    """The agent has no such version."""

    code = "agent_version_not_found"


class FunctionToolNotFoundError(NotFoundError):
    """No such function tool is visible to the caller."""

    code = "function_tool_not_found"


class AgentRunNotFoundError(NotFoundError):
    """The agent has no such run, as far as the caller sees."""

    code = "agent_run_not_found"


class AgentScheduleNotFoundError(NotFoundError):
    """The agent has no such schedule, as far as the caller sees."""

    code = "agent_schedule_not_found"


class ApprovalNotFoundError(NotFoundError):
    """The run asked for no such approval."""

    code = "approval_not_found"


class AgentInputError(InvalidError):
    """A field is out of its bounds."""

    code = "invalid_agent_input"


class UnknownReferenceError(InvalidError):
    """A tool refers to something that is not there."""

    code = "unknown_reference"


class DepthError(InvalidError):
    """Agents call each other more deeply than is allowed."""

    code = "agents_too_deep"

    def __init__(self, most: int) -> None:
        super().__init__(f"Agents may call agents at most {most} deep.", data={"limit": most})


class EmptyUpdateError(InvalidError):
    """A change that changes nothing."""

    code = "empty_update"


class AgentBusyError(ConflictError):
    """Runs of the agent have not ended."""

    code = "agent_busy"


class AgentStateError(ConflictError):
    """The agent is not in a state that allows the call."""

    code = "agent_state"


class AgentRunStateError(ConflictError):
    """The run's status does not allow the call (R3)."""

    code = "agent_run_state"

    def __init__(self, message: str, *, status: RunStatus) -> None:
        super().__init__(message, data={"status": status.value})


class AgentScheduleStateError(ConflictError):
    """The schedule's status does not allow the call (R40)."""

    code = "agent_schedule_state"

    def __init__(self, message: str, *, status: ScheduleStatus) -> None:
        super().__init__(message, data={"status": status.value})


class ApprovalDecidedError(ConflictError):
    """A decision is made once."""

    code = "approval_decided"


class ToolSecretStorageError(UnavailableError):
    """A tool has a secret, and the server has no key to encrypt it with."""

    code = "tool_secret_storage"
