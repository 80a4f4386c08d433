"""Ids as this dialect writes them: a prefix and the 32 hex digits of the row's UUID (M§1.10, R2)."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from assay.kit.errors import NotFoundError


class Prefix(StrEnum):
    """What an id names."""

    SUITE = "eval_suite_"
    VERSION = "eval_sver_"
    RUN = "eval_run_"
    SAMPLE = "eval_sample_"
    SHARE = "eval_share_"
    SCHEDULE = "eval_sched_"
    FIRE = "eval_fire_"
    LABEL = "eval_label_"
    CALIBRATION = "eval_calib_"
    EVENT = "evt_"
    FILE = "file_"
    AGENT = "agt_"
    AGENT_VERSION = "agver_"
    AGENT_RUN = "agrun_"
    AGENT_SCHEDULE = "agsch_"
    FUNCTION_TOOL = "aftool_"
    RESPONSE = "resp_"
    CONVERSATION = "conv_"
    ORGANIZATION = "org_"
    TEAM = "team_"
    USER = "user_"


class UnknownIdError(NotFoundError):
    """The text is not an id of this kind, so no object can have it."""

    code = "unknown_id"


def write_id(prefix: Prefix, row_id: UUID) -> str:
    """The dialect's form of a row's id."""
    return f"{prefix.value}{row_id.hex}"


def read_id(prefix: Prefix, text: str, *, param: str) -> UUID:
    """The row's id.

    Raises:
        UnknownIdError: The text does not have the form ``<prefix><32 hex digits>``.
    """
    digits = text.removeprefix(prefix.value)
    if not text.startswith(prefix.value) or len(digits) != 32:
        raise UnknownIdError(
            f"`{param}`: no object has the id {text[:80]!r}; ids here begin with {prefix.value!r}.", param=param
        )
    try:
        return UUID(hex=digits)
    except ValueError as fault:
        raise UnknownIdError(f"`{param}`: no object has the id {text[:80]!r}.", param=param) from fault
