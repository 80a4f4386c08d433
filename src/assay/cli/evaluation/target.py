"""Which server a command talks to.

--server URL        that one, with --api-key
else                the one that runs on this home
else                one of its own, for the time of the command: the same as `assay serve` would start
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from assay.cli.evaluation.client import ApiClient, ServerUnreachableError, open_client
from assay.embedded.errors import HomeInUseError
from assay.embedded.home import AssayHome
from assay.kit.errors import InvalidError
from assay.kit.logging import configure_logging
from assay.settings import Settings

_ANSWER_SECONDS = 10.0
_POLL_SECONDS = 0.2
_LOG_NAME = "command.log"


class MissingKeyError(InvalidError):
    """No API key is known for the server."""

    code = "missing_api_key"


@dataclass(frozen=True, slots=True)
class Target:
    """A server, ready to be called."""

    client: ApiClient
    home: AssayHome | None
    """None when the server was given by its address."""
    own: bool
    """Whether it ends with the command."""


def with_home(settings: Settings, home: Path | None, *, config: Path | None = None) -> Settings:
    """The settings on another home, or with another ``assay.toml``; None leaves them as they are."""
    changes = {name: path for name, path in (("home", home), ("config", config)) if path is not None}
    return settings.model_copy(update={"core": settings.core.model_copy(update=changes)})


@asynccontextmanager
async def open_target(
    settings: Settings, *, server: str | None = None, api_key: str | None = None, port: int = 0
) -> AsyncGenerator[Target]:
    """Find or start a server.

    Args:
        settings: Where the home is, and how a server of our own is configured.
        server: Address of a server; None for the home's.
        api_key: Its key; by default the one in the home's ``credentials.json``.
        port: Of a server of our own; 0 for any free one.

    Raises:
        MissingKeyError: No key is known.
        HomeInUseError: Something that is no server uses the home.
        ServiceFailedError: A service of our own does not start.
        ServerUnreachableError: Nobody answers at the given address.
    """
    if server is not None:
        if not api_key:
            raise MissingKeyError("--server needs a key: give --api-key or set ASSAY_API_KEY.", param="--api-key")
        await _refuse_absent(server)
        async with open_client(server, api_key) as client:
            yield Target(client, home=None, own=False)
        return
    home = AssayHome(settings.core.home)
    async with AsyncExitStack() as stack:
        own = True
        try:
            home.prepare()
            with home.lock():
                pass  # found out before everything that a server of our own needs is loaded
            base_url = await stack.enter_async_context(_own_server(settings, port))
        except HomeInUseError as in_use:
            own, base_url = False, await _running_server(home, in_use)
        key = api_key or _known_key(home)
        client = await stack.enter_async_context(open_client(base_url, key))
        yield Target(client, home, own)


def _known_key(home: AssayHome) -> str:
    credentials = home.read_credentials()
    if credentials is None or not credentials.api_key:
        raise MissingKeyError(
            f"{home.credentials_file} holds no API key. Make one with `assay keys create` and give it with --api-key.",
            param="--api-key",
        )
    return credentials.api_key


@asynccontextmanager
async def _own_server(settings: Settings, port: int) -> AsyncGenerator[str]:
    """Services, API and worker in this process; gives the address."""
    # Heavy, and not needed to talk to a server that runs.
    from assay.cli.serving import Ready, serve
    from assay.cli.signals import background

    announced = asyncio.get_running_loop().create_future()

    def announce(ready: Ready) -> None:
        announced.set_result(ready.base_url)

    with _logs_in(AssayHome(settings.core.home), settings):
        main = serve(settings, host="127.0.0.1", port=port, workers=1, announce=announce)
        async with background(main) as task:
            await asyncio.wait({task, announced}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
            try:
                yield announced.result()
            except ServerUnreachableError:
                if task.done():
                    task.result()  # why it ended says more than that it does not answer
                raise


@contextmanager
def _logs_in(home: AssayHome, settings: Settings) -> Generator[None]:
    """Keep the server's log out of the command's output."""
    home.prepare()
    with (home.logs / _LOG_NAME).open("a") as file:
        configure_logging(settings.log.level, "json", stream=file)
        try:
            yield
        finally:
            configure_logging("warning", settings.log.format)


async def _running_server(home: AssayHome, in_use: HomeInUseError) -> str:
    """Address of the server that runs on the home, once it is ready.

    Raises:
        HomeInUseError: None is ready after a while.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _ANSWER_SECONDS
    async with aiohttp.ClientSession() as session:
        while True:
            credentials = home.read_credentials()
            if credentials is not None and await _is_ready(session, credentials.base_url):
                return credentials.base_url
            if loop.time() > deadline:
                raise in_use
            await asyncio.sleep(_POLL_SECONDS)


async def _refuse_absent(server: str) -> None:
    """Find out about a mistyped address at once: calls are tried again for a while before they fail.

    Raises:
        ServerUnreachableError: Nobody answers.
    """
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{server.rstrip('/')}/healthz"):
            return
    except (aiohttp.ClientError, ValueError, OSError) as error:
        raise ServerUnreachableError(f"--server: {server} does not answer: {error}", param="--server") from error


async def _is_ready(session: aiohttp.ClientSession, base_url: str) -> bool:
    try:
        async with session.get(f"{base_url}/readyz") as response:
            return response.status == 200
    except (aiohttp.ClientError, OSError):
        return False
