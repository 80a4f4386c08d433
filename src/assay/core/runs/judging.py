"""The models that a grader may ask through ``ctx`` (M§4.7, R10): the run's judge and embedding model, or any other.

Each execution of a grader gets its own counter, so that what judging cost is kept with the sample it judged.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, cast

from assay.core.judging.host import read_messages
from assay.core.judging.service import JudgeCaller
from assay.core.runs.plan import RunPlan
from assay.gateway.errors import ProviderError
from assay.gateway.gateway import Gateway
from assay.gateway.generation import resolve_generation
from assay.gateway.types import ModelRequest, ModelRole
from assay.kit.errors import DomainError
from assay.sandbox.contract import HostFunctionError

AUTO = "auto"
MAX_EMBEDDED_TEXTS = 2048


class RunModels:
    """What scoring one run may ask: host functions for its graders, and its judges."""

    def __init__(self, gateway: Gateway, plan: RunPlan) -> None:
        self._gateway = gateway
        self._plan = plan
        self.judges = JudgeCaller(gateway, project_id=plan.project_id)

    def for_one_execution(self) -> JudgeCalls:
        """Host functions that count for one execution of a grader."""
        return JudgeCalls(self._gateway, self._plan)


class JudgeCalls:
    """Host functions of one execution, and what they used."""

    def __init__(self, gateway: Gateway, plan: RunPlan) -> None:
        self._gateway = gateway
        self._plan = plan
        self._calls = 0
        self._models: set[str] = set()
        self._cost: Decimal | None = None

    def summary(self) -> dict[str, Any]:
        """Calls made, models asked and cost (null when no price is known); empty when nothing was asked."""
        if self._calls == 0:
            return {}
        cost = None if self._cost is None else float(self._cost)
        return {"model_calls": self._calls, "models": sorted(self._models), "cost_usd": cost}

    async def responses_create(self, *, model: str = AUTO, **request: Any) -> Any:
        """Ask a model.

        Args:
            model: A catalog id, or ``auto`` for the run's judge model.
            request: ``input`` (text, or a list of ``{"role", "content"}``), ``instructions`` and any generation field.

        Returns:
            ``{"id", "model", "output_text", "reasoning", "usage"}``.

        Raises:
            HostFunctionError: The call failed or a field is wrong; the message is for the grader's author.
        """
        prompt = request.pop("input", None)
        try:
            reply = await self._gateway.respond(
                ModelRequest(
                    model=self._plan.config.judge_model or AUTO if model == AUTO else model,
                    messages=read_messages(prompt),
                    generation=resolve_generation(request),
                    project_id=self._plan.project_id,
                    role=ModelRole.JUDGE,
                )
            )
        except (ProviderError, DomainError) as error:
            raise HostFunctionError(error.message) from error
        self._count(reply.model, reply.cost_usd)
        usage = reply.usage
        return {
            "id": reply.response_id,
            "model": reply.model,
            "output_text": reply.text,
            "reasoning": reply.reasoning,
            "usage": {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens},
        }

    async def embeddings_create(self, *, model: str = AUTO, **request: Any) -> Any:
        """Embed texts.

        Args:
            model: A catalog id, or ``auto`` for the run's embedding model.
            request: ``input``: a text or a list of at most 2,048 texts.

        Returns:
            ``{"model", "data": [{"index", "embedding"}]}``.

        Raises:
            HostFunctionError: The call failed or a field is wrong.
        """
        texts = _texts(request.pop("input", None))
        if request:
            raise HostFunctionError(
                f"embeddings_create does not know {sorted(request)[0]!r}; it takes model and input."
            )
        try:
            reply = await self._gateway.embed(
                self._plan.config.embedding_model or AUTO if model == AUTO else model, texts
            )
        except (ProviderError, DomainError) as error:
            raise HostFunctionError(error.message) from error
        self._count(reply.model, reply.cost_usd)
        data = [{"index": index, "embedding": vector.tolist()} for index, vector in enumerate(reply.vectors)]
        return {"model": reply.model, "data": data}

    def _count(self, model: str, cost: Decimal | None) -> None:
        self._calls += 1
        self._models.add(model)
        if cost is not None:
            self._cost = (self._cost or Decimal(0)) + cost


def _texts(value: object) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in cast("list[object]", texts)):
        raise HostFunctionError("embeddings_create needs `input`: a text or a list of texts.")
    if not 1 <= len(cast("list[str]", texts)) <= MAX_EMBEDDED_TEXTS:
        raise HostFunctionError(f"embeddings_create takes 1 to {MAX_EMBEDDED_TEXTS} texts.")
    return cast("list[str]", texts)
