"""What a run with a ceiling will probably cost, written down before its first call."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.files.store import FileStore
from assay.core.runs.agentmodels import is_agent
from assay.core.runs.ledger import Execution
from assay.core.runs.models import ItemRow, RunRow, SampleRow
from assay.core.runs.plan import RunPlan, load_plan
from assay.core.runs.roles import role_of
from assay.core.runs.types import SampleStatus
from assay.db.engine import SessionFactory
from assay.db.session import transaction
from assay.gateway.gateway import Gateway
from assay.gateway.tokens import count_tokens
from assay.gateway.types import Usage

EXPECTED_OUTPUT_TOKENS: Final = 300
"""Of an answer, where the run allows no fewer; nobody knows before."""
_LOOKED_AT: Final = 50


async def estimate_run(sessions: SessionFactory, gateway: Gateway, *, store: FileStore, execution: Execution) -> None:
    """Write down the price of the answers that are outstanding, and of what is paid already.

    Prompts are measured on the first 50 items of each task. What judges will ask is not known before, and not in it;
    neither is what an agent does. Without a ceiling, or without a price, nothing is written.

    Args:
        sessions: Where the run is laid out.
        gateway: Knows prices.
        store: Where files are.
        execution: Of the run.

    Raises:
        UnknownModelError: A model has gone from the catalog.
    """
    async with sessions() as session:
        plan = await load_plan(session, store, execution)
        if plan.config.budget_usd is None:
            return
        outstanding = await _outstanding(session, plan)
        tokens = {
            task_no: await _prompt_tokens(session, plan, task_no) for task_no in {task for task, _ in outstanding}
        }
    total = Decimal(0)
    output = min(EXPECTED_OUTPUT_TOKENS, plan.generation.max_output_tokens or EXPECTED_OUTPUT_TOKENS)
    for (task_no, model_no), count in outstanding.items():
        model = plan.models[model_no]
        if is_agent(model):
            continue
        price = await gateway.price(model, Usage(tokens[task_no], output), role_of(plan.tasks[task_no].type))
        if price is None:
            return
        total += price * count
    async with transaction(sessions) as session:
        mine = (RunRow.id == execution.run_id, RunRow.execution == execution.number)
        await session.execute(update(RunRow).where(*mine).values(estimate_usd=RunRow.spent_usd + total))


async def _outstanding(session: AsyncSession, plan: RunPlan) -> dict[tuple[int, int], int]:
    sample = SampleRow
    statement = select(sample.task_no, sample.model_no, func.count()).where(
        sample.run_id == plan.run_id, sample.status == SampleStatus.QUEUED.value
    )
    rows = await session.execute(statement.group_by(sample.task_no, sample.model_no))
    return {(task_no, model_no): count for task_no, model_no, count in rows}


async def _prompt_tokens(session: AsyncSession, plan: RunPlan, task_no: int) -> int:
    """The mean of the first prompts, in tokens; 0 where there are none."""
    item = ItemRow
    statement = select(item.prompt).where(item.run_id == plan.run_id, item.task_no == task_no)
    prompts = (await session.scalars(statement.order_by(item.sample_index).limit(_LOOKED_AT))).all()
    return sum(map(count_tokens, prompts)) // max(1, len(prompts))
