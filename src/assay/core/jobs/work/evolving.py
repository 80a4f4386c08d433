"""Prompts to try, by GEPA: reflective mutation with a Pareto front (Agrawal et al. 2025, arXiv:2507.19457).

GEPA searches within one round, on the training cases alone: it takes a prompt of its front, shows the analyzer three of
its answers, tries the analyzer's prompt on these three, and only if it does better there on all training cases. What it
comes up with are proposals like any other: whether one is kept is decided by the paired test on the validation cases.

GEPA is synchronous, so it runs in a thread, and its calls come back to the event loop. It is deterministic given its
seed and the scores, and those are in the ledger; so a worker that takes over walks through what is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from gepa.api import optimize  # pyright: ignore[reportUnknownVariableType] - parts of it are untyped
from gepa.core.adapter import EvaluationBatch, ProposalFn
from gepa.core.result import GEPAResult

from assay.core.jobs.work.faults import BudgetReachedError, JobFaultError, JobStoppedError
from assay.scoring.optimization import Brief, Proposal

T = TypeVar("T")

COMPONENT: Final = "prompt"
MINIBATCH: Final = 3

Evaluate = Callable[[str, Sequence[int]], Coroutine[Any, Any, Sequence[float | None]]]
"""Scores of a prompt on cases, in their order."""
Reflect = Callable[[int, str, Sequence[tuple[int, float | None]]], Coroutine[Any, Any, Proposal | None]]
"""A better prompt, by how often it was asked in this round, the prompt, and cases with their scores."""


@dataclass(slots=True)
class _Bridge:
    """The way from GEPA's thread to the event loop, and GEPA's three interfaces."""

    loop: asyncio.AbstractEventLoop
    evaluate_prompt: Evaluate
    reflect: Reflect
    width: int
    reflections: int = 0
    propose_new_texts: ProposalFn | None = None
    """GEPA's adapter: an attribute, by GEPA's protocol."""
    descriptions: dict[str, str] = field(default_factory=dict[str, str])
    stop: BaseException | None = None
    """What ended the search from outside; GEPA itself takes an exception for bad luck and goes on."""
    _pending: set[Future[Any]] = field(default_factory=set[Future[Any]])

    def __post_init__(self) -> None:
        self.propose_new_texts = self._improve

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of something on the event loop."""
        if self.stop is not None:
            work.close()
            raise self.stop
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        self._pending.add(future)
        if self.stop is not None:
            # It was closed in between, and did not see this one.
            future.cancel()
        try:
            return future.result()
        except (BudgetReachedError, JobFaultError, JobStoppedError, CancelledError) as stop:
            self.stop = stop
            raise
        finally:
            self._pending.discard(future)

    def close(self) -> None:
        """Let the thread end: whatever it waits for, or will, is cancelled."""
        self.stop = self.stop or CancelledError()
        for future in list(self._pending):
            future.cancel()

    def has_ended(self, gepa_state: object) -> bool:
        """GEPA's stopper."""
        return self.stop is not None or self.reflections >= self.width

    def log(self, message: str) -> None:
        """GEPA's logger: what it says holds cases, and is told by the rounds."""

    def evaluate(
        self, batch: list[int], candidate: dict[str, str], capture_traces: bool = False
    ) -> EvaluationBatch[tuple[int, float | None], None]:
        """GEPA's adapter: scores of a candidate; a case without a score counts as 0."""
        scores = self.wait(self.evaluate_prompt(candidate[COMPONENT], batch))
        traces = list(zip(batch, scores, strict=True))
        return EvaluationBatch(
            outputs=[None] * len(batch), scores=[score or 0.0 for score in scores], trajectories=traces
        )

    def make_reflective_dataset(
        self,
        candidate: dict[str, str],
        eval_batch: EvaluationBatch[tuple[int, float | None], None],
        components_to_update: list[str],
    ) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """GEPA's adapter: the cases that the analyzer is shown."""
        traces = eval_batch.trajectories or []
        return {COMPONENT: [{"case": case, "score": score} for case, score in traces]}

    def _improve(
        self,
        candidate: dict[str, str],
        reflective_dataset: Mapping[str, Sequence[Mapping[str, Any]]],
        components_to_update: list[str],
    ) -> dict[str, str]:
        """GEPA's adapter: the analyzer's prompt, or the same again if it has none, which GEPA then drops."""
        number, self.reflections = self.reflections, self.reflections + 1
        cases = [(row["case"], row["score"]) for row in reflective_dataset[COMPONENT]]
        found = self.wait(self.reflect(number, candidate[COMPONENT], cases))
        if found is None:
            return candidate
        self.descriptions[found.prompt] = found.description
        return {COMPONENT: found.prompt}


async def evolve(brief: Brief, *, evaluate: Evaluate, reflect: Reflect, width: int, seed: int) -> list[Proposal]:
    """Search for prompts on the training cases.

    Args:
        brief: What is known so far.
        evaluate: Runs a prompt on training cases.
        reflect: Asks the analyzer; None when it has no usable proposal.
        width: How often the analyzer is asked at most.
        seed: Of this round.

    Returns:
        What did better than its parent, the best on the training cases first.

    Raises:
        BudgetReachedError, JobFaultError, JobStoppedError: Of ``evaluate`` and ``reflect``.
    """
    cases = [case for case, _ in brief.train]
    if not cases or width < 1:
        return []
    bridge = _Bridge(asyncio.get_running_loop(), evaluate, reflect, width)

    def search() -> GEPAResult[None, int]:
        return optimize(
            seed_candidate={COMPONENT: brief.prompt},
            trainset=cases,
            valset=cases,
            adapter=bridge,
            reflection_minibatch_size=min(MINIBATCH, len(cases)),
            # Perfect minibatches are skipped without a reflection, so those alone do not bound it.
            max_metric_calls=(width + 1) * (len(cases) + 10 * MINIBATCH),
            stop_callbacks=bridge.has_ended,
            logger=bridge,
            seed=seed,
        )

    try:
        result = await asyncio.to_thread(search)
    except Exception:
        if bridge.stop is None:
            raise
        raise bridge.stop from None
    finally:
        bridge.close()
    return _proposals(brief, bridge, result)


def _proposals(brief: Brief, bridge: _Bridge, result: GEPAResult[None, int]) -> list[Proposal]:
    if isinstance(bridge.stop, BudgetReachedError | JobFaultError | JobStoppedError):
        raise bridge.stop
    scores: Sequence[float] = result.val_aggregate_scores
    ranked = sorted(range(len(result.candidates)), key=lambda place: -scores[place])
    prompts = dict.fromkeys(result.candidates[place][COMPONENT] for place in ranked)
    return [Proposal(prompt, bridge.descriptions.get(prompt, "")) for prompt in prompts if prompt != brief.prompt]
