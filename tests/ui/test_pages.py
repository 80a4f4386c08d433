"""Every page: it opens, in light and dark, on a desktop and on a phone, and axe finds nothing serious in it."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, ViewportSize
from tests.ui.world import PAGES, World

PHONE: ViewportSize = {"width": 390, "height": 844}
DESKTOP: ViewportSize = {"width": 1280, "height": 800}


def test_the_list_of_pages_is_complete(world: World) -> None:
    assert set(PAGES) == set(world.pages)


async def grave_faults(page: Page) -> list[str]:
    """What axe calls serious or critical, with the elements at fault."""
    found: Any = await Axe().run(page)  # pyright: ignore[reportUnknownMemberType]
    violations: list[dict[str, Any]] = found.response["violations"]
    grave = [one for one in violations if one["impact"] in {"serious", "critical"}]
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in grave]


@pytest.mark.parametrize("name", PAGES)
async def test_a_page_is_accessible_and_fits(name: str, page: Page, world: World) -> None:
    await page.set_viewport_size(DESKTOP)
    response = await page.goto(world.pages[name], wait_until="networkidle")
    assert response is not None
    assert response.status == 200
    assert await page.locator("h1").count() == 1
    assert await grave_faults(page) == []
    await page.evaluate("document.documentElement.dataset.theme = 'dark'")
    assert await grave_faults(page) == []
    for size in (DESKTOP, PHONE):
        await page.set_viewport_size(size)
        # Tables scroll within themselves; the page does not scroll sideways.
        wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 1, f"{name} is {wide} px too wide at {size['width']} px"
