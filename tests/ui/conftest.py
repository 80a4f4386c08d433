"""A server with a world on it, and a browser to look at it with.

The browser is Debian's Chromium. Where none is found, what needs one is skipped, and says so.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright
from sqlalchemy import make_url
from tests.support.live import LiveServer
from tests.support.tenants import Tenants, make_tenants
from tests.ui.browser import BROWSERS, open_browser, sign_in
from tests.ui.world import Builder, World, answer

from assay.runtime import Addresses

DATABASE = "live_ui"
"""Not that of the dialects' server, which may run in the same session."""


@pytest.fixture(scope="session")
async def live_url(postgres_url: str, template_database: str) -> str:
    """A database of the server's own, gone with the session's PostgreSQL."""
    connection = await asyncpg.connect(postgres_url, ssl=False)
    try:
        await connection.execute(f"CREATE DATABASE {DATABASE} TEMPLATE {template_database} STRATEGY FILE_COPY")
    finally:
        await connection.close()
    return make_url(postgres_url).set(database=DATABASE).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def live(live_url: str, temporal_address: str) -> Iterator[LiveServer]:
    """The server. Its mock provider's behaviour is shared: put back what you change."""
    with (
        tempfile.TemporaryDirectory(prefix="assay-ui-") as folder,
        LiveServer(Addresses(live_url, temporal_address), folder=Path(folder), task_queue=DATABASE) as server,
    ):
        yield server


@pytest.fixture(scope="session")
def tenants(live: LiveServer) -> Tenants:
    """Keys of every kind."""
    return live.call(make_tenants(live.runtime.sessions))


@pytest.fixture(scope="session")
def world(live: LiveServer, tenants: Tenants) -> World:
    """Something of everything."""
    live.models.behaviour.reply = answer
    return Builder(live, tenants).build()


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Chromium."""
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await open_browser(playwright, program)
        yield browser
        await browser.close()


@pytest.fixture
async def context(browser: Browser, live: LiveServer) -> AsyncIterator[BrowserContext]:
    """A browser of one's own, signed in nowhere."""
    context = await browser.new_context(
        base_url=live.url, bypass_csp=True, locale="en-GB", timezone_id="Europe/Paris", reduced_motion="reduce"
    )
    context.set_default_timeout(15_000)
    yield context
    await context.close()


@pytest.fixture
async def page(context: BrowserContext, tenants: Tenants) -> AsyncIterator[Page]:
    """A page of an owner who is signed in. What it logs as an error fails the test."""
    page = await context.new_page()
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    await sign_in(page, tenants.all_scopes)
    yield page
    assert faults == []
