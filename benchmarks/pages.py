"""How long the pages of a run with many samples take, as requests and in a real browser.

    uv run python -m benchmarks.pages

One database with a run of 1,000,000 samples, and 10,000 runs beside it. Requests are timed whole, session and
rendering included; the browser (Debian's Chromium, if it is there) tells its own first contentful paint.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

import aiohttp
from benchmarks import report
from benchmarks.filling import MODELS, TASKS, fill
from benchmarks.reads import make_database
from benchmarks.rig import API_KEY, Client, Role, node, run_bounded, services, throwaway_home

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FRAGMENT = {"X-Fragment": "1"}


async def measure(arguments: argparse.Namespace) -> None:
    """Fill a database, sign in, and time the pages."""
    async with AsyncExitStack() as stack:
        home = await stack.enter_async_context(throwaway_home())
        settings = await stack.enter_async_context(services(home))
        url = await make_database(settings["ASSAY_DATABASE_URL"], "pages")
        api = await stack.enter_async_context(
            node(Role.API, home / "api", settings={**settings, "ASSAY_DATABASE_URL": url, "OPENAI_API_KEY": "sk-x"})
        )
        async with Client(api.url) as client:
            rows = [{"question": "1 + 1?", "answer": "2"}]
            suite_id = await client.create_suite("benchmark", rows, tasks=TASKS)
        filled = await fill(url, UUID(suite_id.rsplit("_", 1)[-1]), arguments.samples)
        run = f"/runs/{filled.run_id.hex}"
        jar = aiohttp.CookieJar(unsafe=True)
        http = await stack.enter_async_context(aiohttp.ClientSession(api.url, cookie_jar=jar))
        async with http.post("/signin", data={"way": "key", "key": API_KEY}, headers={"Origin": api.url}) as answer:
            answer.raise_for_status()
        deep = filled.deep_sample_id.hex
        pages: list[tuple[str, str, dict[str, str]]] = [
            ("run page, first content", run, {}),
            ("next page of samples", f"{run}/samples?after={deep}", FRAGMENT),
            ("next page of failed samples", f"{run}/samples?status=failed&after={deep}", FRAGMENT),
            ("next page of one task and model", f"{run}/samples?task={TASKS[1]}&model={MODELS[1]}", FRAGMENT),
            ("one sample", f"{run}/samples/{deep}", {}),
            ("progress", f"{run}/live", FRAGMENT),
            ("distribution, loaded after the page", _distribution(run), FRAGMENT),
            ("list of runs", "/runs", {}),
        ]
        lines = [[name, *await _time(http, path, headers, arguments.repeats)] for name, path, headers in pages]
        lines += await _time_browser(api.url, run, arguments.repeats)
        report.print_table(["", "ms: median (least-most)"], lines)


def _distribution(run: str) -> str:
    return f"{run}/distribution?task={TASKS[0]}&model={MODELS[0]}&metric=f1"


async def _time(http: aiohttp.ClientSession, path: str, headers: dict[str, str], repeats: int) -> list[str]:
    async def ask() -> None:
        async with http.get(path, headers=headers, allow_redirects=False) as answer:
            await answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{path}: {answer.status}")

    return [report.spread(await _repeat(ask, repeats), ".1f")]


async def _repeat(step: Callable[[], Awaitable[None]], repeats: int) -> list[float]:
    await step()
    found: list[float] = []
    for _ in range(repeats):
        started = time.perf_counter()
        await step()
        found.append((time.perf_counter() - started) * 1000)
    return found


async def _time_browser(url: str, run: str, repeats: int) -> list[list[str]]:
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        print("- no Chromium here: apt-get install chromium\n")
        return []
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = await playwright.chromium.launch(executable_path=program, args=arguments)
        page = await browser.new_page(base_url=url)
        await page.goto("/signin?way=key")
        await page.get_by_label("API key").fill(API_KEY)
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url("**/")
        paints: list[float] = []
        grown: list[float] = []
        for _ in range(max(3, repeats // 5)):
            await page.goto(run, wait_until="load")
            paints.append(await _first_paint(page))
            rows = page.locator("[data-grows] tbody tr")
            before = await rows.count()
            started = time.perf_counter()
            await page.locator("a[data-more]").click()
            await rows.nth(before).wait_for()
            grown.append((time.perf_counter() - started) * 1000)
        await browser.close()
    return [
        ["run page in Chromium, first contentful paint", report.spread(paints, ".0f")],
        ["next page in Chromium, from the click to the row", report.spread(grown, ".0f")],
    ]


async def _first_paint(page: Any) -> float:
    for _ in range(100):
        found = await page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null")
        if found is not None:
            return float(found)
        await asyncio.sleep(0.02)
    raise RuntimeError("nothing was painted")


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.pages", description="Latency of a large run's pages.")
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=25)
    arguments = parser.parse_args()
    report.print_surroundings("Pages")
    run_bounded(measure(arguments))


if __name__ == "__main__":
    main()
