"""A worker as a process of its own, for tests that kill it: called with a ``Place`` as JSON, says ``ready``."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.evals import Place

from assay.kit.logging import configure_logging
from assay.runtime import open_runtime
from assay.worker import running_worker


async def main(place: Place) -> None:
    """Work until SIGTERM."""
    configure_logging(place.log_level)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with (
        open_runtime(place.settings(), place.addresses(), secret_key=place.secret_key) as runtime,
        running_worker(runtime, longest_lane=place.longest_lane),
    ):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(main(Place(**json.loads(sys.argv[1]))))
