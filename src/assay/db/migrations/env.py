"""What Alembic runs. ``assay.db.migrate`` hands it an open connection and the tables; it opens nothing itself."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext

from assay.db.base import UtcDateTime


def render_plainly(kind: str, item: Any, autogen_context: AutogenContext) -> str | Literal[False]:
    """Column types of ours as what they are in the database: a migration must not change with the program."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcDateTime) else False


context.configure(
    connection=context.config.attributes["connection"],
    render_item=render_plainly,
    target_metadata=context.config.attributes["metadata"],
    compare_type=True,
    compare_server_default=True,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
