"""A project with a model server of its own, and an agent's jobs."""

from __future__ import annotations

import pytest
from tests.support.eval_fixtures import evals, models
from tests.support.evals import Evals
from tests.support.jobs import Jobs, provider_reply

__all__ = ["evals", "models"]


@pytest.fixture
def jobs(evals: Evals) -> Jobs:
    """Jobs that are carried out in the test itself."""
    evals.models.behaviour.reply = provider_reply
    return Jobs(evals)
