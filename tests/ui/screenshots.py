"""Pictures of every page, light and dark, on a desktop and on a phone.

uv run python -m tests.ui.screenshots FOLDER [--only NAME …]
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import tempfile
from pathlib import Path

from playwright.async_api import async_playwright
from tests.support.live import LiveServer
from tests.support.tenants import make_tenants
from tests.ui.browser import BROWSERS, open_browser, sign_in
from tests.ui.world import Builder, World, answer

from assay.db import migrate
from assay.embedded.home import AssayHome
from assay.embedded.postgres import EmbeddedPostgres
from assay.embedded.temporal import EmbeddedTemporal
from assay.runtime import Addresses
from assay.settings import OutboundSettings

SIZES = {"desktop": (1280, 800), "phone": (390, 844)}
THEMES = ("light", "dark")


async def take(folder: Path, only: list[str], *, sizes: list[str], themes: list[str]) -> None:
    """Build a world, walk through it, and keep what is seen."""
    with tempfile.TemporaryDirectory(prefix="assay-screens-") as parent:
        home = AssayHome(Path(parent))
        home.prepare()
        database, clock = EmbeddedPostgres(home), EmbeddedTemporal(home)
        try:
            url, temporal = await database.start(), await clock.start()
            await migrate.upgrade(url)
            await asyncio.to_thread(_walk, Addresses(url, temporal), home.path, folder, only, sizes, themes)
        finally:
            await clock.stop()
            await database.stop()


def _walk(addresses: Addresses, home: Path, folder: Path, only: list[str], sizes: list[str], themes: list[str]) -> None:
    outbound = OutboundSettings(allow_hosts=("localhost",))
    with LiveServer(addresses, folder=home, task_queue="live", outbound=outbound) as server:
        tenants = server.call(make_tenants(server.runtime.sessions))
        server.models.behaviour.reply = answer
        world = Builder(server, tenants).build()
        asyncio.run(_photograph(server.url, tenants.all_scopes, world, folder, only, sizes, themes))


async def _photograph(
    url: str, key: str, world: World, folder: Path, only: list[str], sizes: list[str], themes: list[str]
) -> None:
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        raise SystemExit("needs Chromium: apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await open_browser(playwright, program)
        for size in sizes:
            for theme in themes:
                width, height = SIZES[size]
                context = await browser.new_context(
                    base_url=url,
                    viewport={"width": width, "height": height},
                    color_scheme="dark" if theme == "dark" else "light",
                    locale="en-GB",
                )
                page = await context.new_page()
                await page.goto("/signin?way=key")
                await page.screenshot(path=folder / f"signin-{size}-{theme}.png")
                await sign_in(page, key)
                for name, path in world.pages.items():
                    if only and name not in only:
                        continue
                    await page.goto(path, wait_until="networkidle")
                    await page.screenshot(path=folder / f"{name}-{size}-{theme}.png", full_page=True)
                await context.close()
        await browser.close()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="tests.ui.screenshots", description="Pictures of every page.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--sizes", nargs="*", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--themes", nargs="*", choices=THEMES, default=list(THEMES))
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(take(arguments.folder, arguments.only, sizes=arguments.sizes, themes=arguments.themes))


if __name__ == "__main__":
    main()
