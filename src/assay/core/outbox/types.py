"""What can be put into the outbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID


class Action(StrEnum):
    """What is to be done to a workflow, or to something else that the durable engine keeps."""

    START = "start"
    CANCEL = "cancel"
    SIGNAL_WITH_START = "signal_with_start"
    """Wake it by its one signal, starting it first if it is not running."""
    SIGNAL = "signal"
    """Wake it by its one signal; one that is not running needs no waking."""
    SYNC = "sync"
    """Make what the durable engine keeps equal to a row, which is read when the command is carried out."""


@dataclass(frozen=True, slots=True)
class WorkflowCommand:
    """One thing to tell the durable engine once the transaction stands.

    ``workflow_id`` derives from a row id, so that carrying a command out twice does nothing the second time.
    """

    action: Action
    workflow: str
    workflow_id: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """A stored command."""

    id: UUID
    command: WorkflowCommand
    attempts: int
