"""A project to run suites in, with a model server of its own."""

from __future__ import annotations

from tests.support.eval_fixtures import evals, models

__all__ = ["evals", "models"]
