"""Opening Chromium, and coming in."""

from __future__ import annotations

import os

from playwright.async_api import Browser, Page, Playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


async def open_browser(playwright: Playwright, program: str) -> Browser:
    """Start it; root may not use its sandbox."""
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    return await playwright.chromium.launch(executable_path=program, args=[*arguments, "--disable-dev-shm-usage"])


async def sign_in(page: Page, key: str) -> None:
    """Sign in with a key."""
    await page.goto("/signin?way=key")
    await page.get_by_label("API key").fill(key)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url("**/")
