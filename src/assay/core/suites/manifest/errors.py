"""What is said about a manifest that cannot be accepted.

InvalidError
├── ManifestError             the manifest is wrong
└── UnsupportedManifestError  the manifest fits the schema, and has a part that cannot be run
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from assay.kit.errors import InvalidError

_FAULTS_IN_MESSAGE = 3
_FAULTS_IN_DATA = 50
_MAX_REASON_LENGTH = 500


class Fault(NamedTuple):
    """One thing that is wrong with a manifest."""

    path: str
    """As people write it: ``tasks[3].grader.source``; empty for the manifest itself."""
    reason: str
    """What is wrong and what to do, with no full stop."""

    def __str__(self) -> str:
        return f"{self.path or 'manifest'}: {self.short_reason}"

    @property
    def short_reason(self) -> str:
        """The reason, cut where it quotes much of the input."""
        return self.reason if len(self.reason) <= _MAX_REASON_LENGTH else self.reason[:_MAX_REASON_LENGTH] + "…"


class _FaultyManifestError(InvalidError):
    """Names the path of every fault.

    Args:
        faults: At least one, the first in document order first.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        shown = "; ".join(str(fault) for fault in faults[:_FAULTS_IN_MESSAGE])
        more = len(faults) - _FAULTS_IN_MESSAGE
        super().__init__(
            f"{shown} (and {more} more)" if more > 0 else shown,
            param=faults[0].path or None,
            data={
                "errors": [{"path": fault.path, "message": fault.short_reason} for fault in faults[:_FAULTS_IN_DATA]],
                "error_count": len(faults),
            },
        )
        self.faults = tuple(faults)


class ManifestError(_FaultyManifestError):
    """The manifest breaks the schema or one of its rules."""

    code = "invalid_manifest"


class UnsupportedManifestError(_FaultyManifestError):
    """The manifest has a part that cannot be run."""

    code = "unsupported_manifest"
