"""A process of its own that runs embedded services until SIGTERM, for tests that kill it.

Called with the home's path; writes one line of JSON when the services answer:
``{"database_url": …, "temporal_address": …, "pids": {"postgres": …, "temporal": …}}``.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

from assay.embedded.home import AssayHome
from assay.embedded.services import EmbeddedServices


async def main(home: Path) -> None:
    """Run until SIGTERM."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with EmbeddedServices(AssayHome(home)) as services:
        report = {
            "database_url": services.database_url,
            "temporal_address": services.temporal_address,
            "pids": services.pids,
        }
        sys.stdout.write(json.dumps(report) + "\n")
        sys.stdout.flush()
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
