"""Waiting for a database that is away, and for nothing else."""

from __future__ import annotations

import pytest

from assay.core.runs.outages import sit_out


class Step:
    """Fails with the given errors, one after the other, then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


async def test_a_lost_connection_is_waited_for() -> None:
    step = Step(ConnectionResetError(), ConnectionRefusedError())
    assert await sit_out(step) == "done"
    assert step.calls == 3


async def test_a_fault_is_raised_at_once() -> None:
    step = Step(ValueError("ours"))
    with pytest.raises(ValueError, match="ours"):
        await sit_out(step)
    assert step.calls == 1


async def test_an_outage_that_lasts_is_raised() -> None:
    step = Step(*[ConnectionRefusedError()] * 100)
    with pytest.raises(ConnectionRefusedError):
        await sit_out(step, longest_seconds=0.3)
    assert 1 < step.calls < 5
