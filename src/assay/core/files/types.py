"""What a file is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class FilePurpose(StrEnum):
    """What a file is for."""

    ASSISTANTS = "assistants"
    BATCH = "batch"
    FINE_TUNE = "fine-tune"
    VISION = "vision"
    USER_DATA = "user_data"
    EVALS = "evals"


@dataclass(frozen=True, slots=True)
class File:
    """A stored file."""

    id: UUID
    filename: str
    purpose: FilePurpose
    bytes: int
    sha256: str
    """64 lowercase hexadecimal digits."""
    content_type: str
    """Media type under which the content is served."""
    storage_key: str
    """Place of the content in the file store."""
    created_by: UUID | None
    on_behalf_of: str | None
    created_at: datetime
    expires_at: datetime | None
