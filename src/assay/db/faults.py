"""Telling a database that is briefly away from a mistake of ours."""

from __future__ import annotations

import asyncpg
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

_TRANSIENT_DRIVER_ERRORS = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InterfaceError,
)


def is_transient(error: BaseException) -> bool:
    """Whether trying again later may succeed.

    So it is when the connection was lost or refused, the server shuts down, two transactions were in each other's way,
    a statement passed its time, or the pool is exhausted.
    """
    if isinstance(
        error, (PoolTimeoutError, OperationalError, InterfaceError, ConnectionError, *_TRANSIENT_DRIVER_ERRORS)
    ):
        return True
    if not isinstance(error, DBAPIError):
        return False
    return error.connection_invalidated or isinstance(error.orig and error.orig.__cause__, _TRANSIENT_DRIVER_ERRORS)
