"""Asking a model for a sample's answer, and putting what came back into the sample's columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from assay.core.agents.types import AgentRun
from assay.core.runs.agentmodels import is_agent
from assay.core.runs.agents import AgentRunner, answer_of, fault_of, run_agent
from assay.core.runs.answer import Answer, describe_failure, describe_timing
from assay.core.runs.embedding.embedder import Embedder
from assay.core.runs.errors import UnpricedModelError
from assay.core.runs.ledger import WorkItem
from assay.core.runs.plan import RunPlan
from assay.core.runs.roles import role_of
from assay.core.runs.transcription import Transcriber
from assay.core.runs.writable import repair_text
from assay.core.suites.manifest.schema import TaskType
from assay.db.engine import SessionFactory
from assay.gateway.errors import ProviderError
from assay.gateway.gateway import Gateway
from assay.gateway.tokens import count_tokens
from assay.gateway.types import Message, ModelReply, ModelRequest, ModelRole, Usage
from assay.kit.errors import DomainError
from assay.outbound.client import GuardedClient

MAX_REASONING_BYTES = 64 * 1024
REASONING_CUT = "\n… [truncated]"
MAX_OUTPUT_CHARACTERS = 4 * 1024 * 1024
LARGEST_COUNT = 2**31 - 1


@dataclass(frozen=True, slots=True)
class AnswerTools:
    """What asking needs."""

    sessions: SessionFactory
    gateway: Gateway
    outbound: GuardedClient
    """For web addresses in rows."""
    agents: AgentRunner


class Answerer:
    """Asks the run's models through the gateway."""

    def __init__(self, tools: AnswerTools, plan: RunPlan) -> None:
        self._tools = tools
        gateway = tools.gateway
        self._gateway = gateway
        self._plan = plan
        self._fresh: list[tuple[ModelRequest, ModelReply]] = []
        self._embedder = Embedder(gateway, plan)
        self._transcriber = Transcriber(gateway, plan, tools.outbound)

    async def check_models(self) -> None:
        """See that every model of the run is still there.

        Raises:
            UnknownModelError: One has gone from the catalog since the run was made.
            UnpricedModelError: The run has a budget, and the price of one is not known.
        """
        await self._gateway.catalog.refresh()
        for role in {role_of(task.type) for task in self._plan.tasks}:
            for model in self._plan.models:
                if not is_agent(model):
                    await self._check_model(model, role)

    async def _check_model(self, model: str, role: ModelRole) -> None:
        self._gateway.catalog.resolve(model, role)
        if self._plan.config.budget_usd is None:
            return
        if await self._gateway.price(model, Usage(1_000_000, 1_000_000), role) is None:
            raise UnpricedModelError(model)

    async def recall(self, items: Sequence[WorkItem]) -> list[Answer | None]:
        """Answers known from the response cache, aligned with items of one task and model; None where there is none.

        The cache is asked only when the run's generation config says ``use_cache``.
        """
        if not self._plan.generation.use_cache or not items:
            return [None] * len(items)
        if is_agent(self._plan.models[items[0].model_no]):
            # What an agent does is not repeatable.
            return [None] * len(items)
        if self._type_of(items[0]) is TaskType.EMBEDDING:
            return await self._embedder.recall(items)
        if self._type_of(items[0]) is TaskType.TRANSCRIPTION:
            # What a clip is known by is its content, which may have to be fetched first.
            return [None] * len(items)
        requests = [self._request(item) for item in items]
        replies = await self._gateway.lookup_many(requests)
        return [
            None if reply is None else self._answer(item, reply) for item, reply in zip(items, replies, strict=True)
        ]

    def cut(self, items: Sequence[WorkItem]) -> list[Sequence[WorkItem]]:
        """Items of one task and model, in the parcels that ``ask`` takes."""
        if items and self._type_of(items[0]) is TaskType.EMBEDDING:
            return list(self._embedder.cut(items))
        return [(item,) for item in items]

    async def ask(self, parcel: Sequence[WorkItem]) -> list[Answer]:
        """Ask the model of a parcel's items. A failed call is an answer too; it never raises for one."""
        if is_agent(self._plan.models[parcel[0].model_no]):
            return [await self._ask_agent(item) for item in parcel]
        if self._type_of(parcel[0]) is TaskType.EMBEDDING:
            return await self._embedder.ask(parcel)
        if self._type_of(parcel[0]) is TaskType.TRANSCRIPTION:
            return [await self._transcriber.ask(item) for item in parcel]
        return [await self._ask_one(item) for item in parcel]

    async def _ask_one(self, item: WorkItem) -> Answer:
        request = self._request(item)
        try:
            reply = await self._gateway.respond(request)
        except ProviderError as error:
            return Answer(None, describe_failure(error, error.attempts))
        except DomainError as error:
            return Answer(None, describe_failure(error, ()))
        if self._plan.generation.use_cache:
            self._fresh.append((request, reply))
        return self._answer(item, reply)

    async def _ask_agent(self, item: WorkItem) -> Answer:
        try:
            run = await run_agent(self._tools.sessions, self._plan, item, self._tools.agents)
        except DomainError as error:
            return Answer(None, describe_failure(error, ()))
        text, fault = answer_of(run), fault_of(run)
        if text is None and fault is None:
            fault = {"code": "empty_answer", "message": "The agent gave no text.", "agent_run_id": str(run.id)}
        return Answer(None if text is None else repair_text(text)[:MAX_OUTPUT_CHARACTERS], _agent_values(run, fault))

    async def store_in_cache(self) -> None:
        """Store the replies that came since the last call."""
        await self._embedder.store_in_cache()
        if self._fresh:
            fresh = list(self._fresh)
            await self._gateway.remember_many(fresh)
            del self._fresh[: len(fresh)]

    def _type_of(self, item: WorkItem) -> TaskType:
        return self._plan.tasks[item.task_no].type

    def _request(self, item: WorkItem) -> ModelRequest:
        return ModelRequest(
            model=self._plan.models[item.model_no],
            messages=(Message("user", item.prompt),),
            generation=self._plan.generation,
            repeat=item.repeat_no,
            project_id=self._plan.project_id,
        )

    def _answer(self, item: WorkItem, reply: ModelReply) -> Answer:
        text = repair_text(reply.text)[:MAX_OUTPUT_CHARACTERS]
        usage = reply.usage
        values: dict[str, Any] = {
            "output_text": text,
            "response_id": reply.response_id,
            "cost_usd": None if reply.cost_usd is None else str(reply.cost_usd),
            "input_tokens": _bounded(usage.input_tokens),
            "output_tokens": _bounded(usage.output_tokens),
            "cached_tokens": _bounded(usage.cached_tokens),
            "reasoning_tokens": _bounded(usage.reasoning_tokens),
        }
        if reply.reasoning is not None:
            values["reasoning"] = _cut_reasoning(repair_text(reply.reasoning))
        if usage.input_tokens is None and usage.output_tokens is None:
            values.update(_estimated_tokens(item.prompt, text, reply.reasoning))
        values.update(describe_timing(reply.attempts))
        return Answer(text, values)


def _agent_values(run: AgentRun, fault: dict[str, Any] | None) -> dict[str, Any]:
    usage, text = run.usage, answer_of(run)
    values: dict[str, Any] = {
        "response_id": (run.response or {}).get("id"),
        "cost_usd": None if usage.cost_usd is None else str(usage.cost_usd),
        "input_tokens": _bounded(usage.input_tokens),
        "output_tokens": _bounded(usage.output_tokens),
        "cached_tokens": _bounded(usage.cached_tokens),
        "reasoning_tokens": _bounded(usage.reasoning_tokens),
        "started_at": run.started_at or run.created_at,
    }
    if text is not None:
        values["output_text"] = repair_text(text)[:MAX_OUTPUT_CHARACTERS]
    if run.started_at is not None and run.completed_at is not None:
        values["phase_timings"] = {"generation": {"started_at": run.started_at, "finished_at": run.completed_at}}
    return values if fault is None else {**values, "error": fault}


def _estimated_tokens(prompt: str, text: str, reasoning: str | None) -> dict[str, Any]:
    """Counts by one ruler for models that report none (M§2.6)."""
    thought = 0 if reasoning is None else count_tokens(reasoning)
    return {
        "input_tokens": count_tokens(prompt),
        "output_tokens": count_tokens(text) + thought,
        "reasoning_tokens": thought if reasoning is not None else None,
        "tokens_estimated": True,
    }


def _bounded(count: int | None) -> int | None:
    """The count as far as its column goes; nobody has used so many tokens, but a provider may say so."""
    return None if count is None else min(count, LARGEST_COUNT)


def _cut_reasoning(reasoning: str) -> str:
    encoded = reasoning.encode()
    if len(encoded) <= MAX_REASONING_BYTES:
        return reasoning
    return encoded[:MAX_REASONING_BYTES].decode(errors="ignore") + REASONING_CUT
