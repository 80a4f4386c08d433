"""Embedded services of a test's own, in a process that brings them back when they are killed."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

SUPERVISOR = Path(__file__).with_name("supervisor.py")


@asynccontextmanager
async def supervised_services(home: Path) -> AsyncGenerator[tuple[dict[str, Any], Path]]:
    """Run PostgreSQL and Temporal; gives the supervisor's report, and the home."""
    process = await asyncio.create_subprocess_exec(sys.executable, str(SUPERVISOR), str(home), stdout=PIPE)
    try:
        assert process.stdout is not None
        yield json.loads(await asyncio.wait_for(process.stdout.readline(), 30)), home
    finally:
        process.terminate()
        await process.wait()
