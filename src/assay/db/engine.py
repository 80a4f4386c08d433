"""Opening PostgreSQL."""

from __future__ import annotations

from typing import Any

import orjson
from sqlalchemy import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

SessionFactory = async_sessionmaker[AsyncSession]


def async_url(url: str) -> URL:
    """The same address for asyncpg, whatever driver the given URL names.

    ``sslmode``, as libpq and every hosting provider write it, is what asyncpg calls ``ssl``; its values are the same.
    """
    address = make_url(url).set(drivername="postgresql+asyncpg")
    mode = address.query.get("sslmode")
    return address if mode is None else address.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})


def _dumps(value: Any) -> str:
    return orjson.dumps(value).decode()


def open_engine(
    url: str, *, pool_size: int, statement_timeout_seconds: float | None = None, application: str = "assay"
) -> AsyncEngine:
    """An engine with a bounded pool.

    Args:
        url: ``postgresql://…``.
        pool_size: Connections kept; as many again may be opened for a burst.
        statement_timeout_seconds: Server-side limit of one statement, or None for no limit.
        application: Name shown in ``pg_stat_activity``.
    """
    server_settings = {"application_name": application, "timezone": "UTC"}
    if statement_timeout_seconds is not None:
        server_settings["statement_timeout"] = str(int(statement_timeout_seconds * 1000))
    return create_async_engine(
        async_url(url),
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=10,
        pool_pre_ping=True,
        # Errors travel further than rows: to logs, and into Temporal's histories.
        hide_parameters=True,
        json_serializer=_dumps,
        json_deserializer=orjson.loads,
        connect_args={"timeout": 10, "server_settings": server_settings},
    )


def session_factory(engine: AsyncEngine) -> SessionFactory:
    """Sessions whose rows stay readable after the commit."""
    return async_sessionmaker(engine, expire_on_commit=False)
