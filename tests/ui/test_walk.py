"""What people do, from signing in to reading a report, in a real browser."""

from __future__ import annotations

import json
import re
from pathlib import Path

from playwright.async_api import Page, expect
from tests.support.live import LiveServer
from tests.support.tenants import Tenants
from tests.ui.world import BASELINE, World, answer, rows_of

SECONDS = 20_000


def questions(count: int) -> bytes:
    rows = [{"question": row["question"], "answer": row["answer"]} for row in rows_of("questions.jsonl")[:count]]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


async def choose_action(page: Page, name: str) -> None:
    await page.get_by_role("main").get_by_role("button", name=name, exact=True).click()


async def test_from_a_suite_to_a_fire(page: Page, live: LiveServer, tmp_path: Path) -> None:
    live.models.behaviour.reply = answer
    rows = tmp_path / "walk.jsonl"
    rows.write_bytes(questions(30))
    # Create a suite by the editor, which says what is wrong, and where.
    await page.goto("/suites")
    await page.get_by_role("link", name="New suite").first.click()
    await page.get_by_label("Begin with a file of rows").set_input_files(rows)
    await page.get_by_role("button", name="Upload", exact=True).click()
    await page.wait_for_url("**/suites/new?file=*")
    editor = page.get_by_label("Manifest (YAML or JSON)")
    manifest = await editor.input_value()
    assert "{{question}}" in manifest
    assert "{{answer}}" in manifest
    await editor.fill(manifest.replace("type: qa", "type: quiz"))
    await expect(page.get_by_role("button", name="line 3 tasks[0].type")).to_be_visible(timeout=SECONDS)
    await expect(page.locator(".gutter .faulty")).to_have_text("3")
    await editor.fill(manifest)
    await expect(page.locator("[data-checked]")).to_have_text("Valid", timeout=SECONDS)
    await page.get_by_label("Name").fill("Walked")
    await page.get_by_role("button", name="Create suite").click()
    await page.wait_for_url(re.compile(r"/suites/[0-9a-f]{32}$"))
    suite = page.url
    # Run it, and watch its progress.
    refused = rows_of("questions.jsonl")[7]["question"]
    live.models.behaviour.refused = {f"Answer in as few words as possible.\n\n{refused}"}
    live.models.behaviour.hang = True
    await page.get_by_role("main").get_by_role("link", name="Run now").first.click()
    await page.get_by_label("Others, one a line").fill("openai/strong\nopenai/weak")
    await page.get_by_role("button", name="Run now").click()
    await page.wait_for_url("**/runs/*")
    run = page.url
    await expect(page.locator(".pill.in_progress").first).to_be_visible(timeout=SECONDS)
    await expect(page.locator("progress")).to_have_attribute("max", "60", timeout=SECONDS)
    live.models.behaviour.hang = False
    live.models.release()
    await expect(page.locator(".pill.completed").first).to_be_visible(timeout=SECONDS)
    await expect(page.get_by_role("heading", name="Metrics")).to_be_visible(timeout=SECONDS)
    # Open a failed sample.
    await page.get_by_label("Status").select_option("failed")
    await page.wait_for_url("**status=failed*")
    await page.get_by_role("link", name="Sample 7").first.click()
    await expect(page.get_by_role("alert")).to_contain_text("HTTP 400: refused")
    await expect(page.locator("pre").first).to_contain_text(refused)
    # Compare its two models.
    await page.goto(f"/compare?run={run.rpartition('/')[2]}&model=openai/weak&baseline_model=openai/strong&common=1")
    await expect(page.locator(".pill.worse, .pill.not_decided").first).to_be_visible()
    await expect(page.locator(".diff").first).to_be_visible(timeout=SECONDS)
    # Schedule it, and see its fire.
    await page.goto(suite)
    await page.get_by_role("main").get_by_role("link", name="Schedule", exact=True).click()
    await page.get_by_label("Name").fill("Walked nightly")
    await page.get_by_label("Models, one a line").fill("openai/weak")
    await page.get_by_role("button", name="Create schedule").click()
    await page.wait_for_url(re.compile(r"/schedules/[0-9a-f]{32}$"))
    await choose_action(page, "Fire now")
    fires = page.get_by_role("region", name="Fires", exact=True)
    await expect(fires.locator("tbody tr")).to_have_count(1)
    await expect(fires.locator(".pill.run")).to_be_visible()
    live.models.behaviour.refused = set()


async def test_from_an_event_to_a_dataset(page: Page, live: LiveServer, tenants: Tenants, world: World) -> None:
    await page.goto("/evaluators/new")
    await page.get_by_label("Name").fill("Is short")
    await page.get_by_label("Program (Hog)").fill("return length(output) < 400")
    # Tried before it is kept.
    await page.get_by_role("button", name="Try it on recent traffic").click()
    await expect(page.get_by_role("heading", name="On the newest model calls")).to_be_visible(timeout=SECONDS)
    await expect(page.get_by_role("region", name="Trials").locator(".pill.true").first).to_be_visible()
    await page.get_by_label("Judge traffic as it arrives").check()
    await page.get_by_role("button", name="Keep it").click()
    await page.wait_for_url(re.compile(r"/evaluators/[0-9a-f]{32}$"))
    evaluator = page.url
    properties = {
        "$ai_trace_id": "walked",
        "$ai_model": "strong",
        "$ai_input": [{"role": "user", "content": "How far is the moon?"}],
        "$ai_output_choices": [{"role": "assistant", "content": "Far."}],
    }
    event = {"api_key": tenants.capture_token, "event": "$ai_generation", "distinct_id": "walker"}
    sent = await page.request.post("/i/v0/e/", data={**event, "properties": properties})
    assert sent.ok
    # See it judged.
    ledger = page.get_by_role("region", name="Ledger")

    async def is_judged() -> None:
        await page.goto(evaluator)
        await expect(ledger.locator(".pill.pass").first).to_be_visible(timeout=1000)

    for attempt in range(15):
        try:
            await is_judged()
            break
        except AssertionError:
            assert attempt < 14, "nobody judged the event"
    await ledger.locator("tbody a").first.click()
    await expect(page.get_by_role("main")).to_contain_text("How far is the moon?")
    # Add it to a dataset.
    await page.get_by_role("link", name="Add to dataset").click()
    await page.get_by_label("or a new one").fill("Walked")
    await page.get_by_label("Expected").fill("384,400 km")
    await page.get_by_role("button", name="Add", exact=True).click()
    await page.wait_for_url(re.compile(r"/datasets/[0-9a-f]{32}$"))
    await expect(page.get_by_role("region", name="Items")).to_contain_text("384,400 km")


async def test_from_a_prompt_to_a_report(page: Page, live: LiveServer, world: World) -> None:
    live.models.behaviour.reply = answer
    await page.goto("/jobs/new")
    await page.locator("select[name=dataset]").select_option(label="Sums")
    await page.locator("#prompt").fill(BASELINE)
    await page.locator("textarea[name=models]").fill("openai/candidate")
    await page.get_by_label("Model that proposes").fill("openai/analyzer")
    await page.get_by_label("Rounds").fill("2")
    await page.get_by_role("button", name="Start").click()
    await page.wait_for_url(re.compile(r"/jobs/[0-9a-f]{32}$"))
    report = page.get_by_role("article", name="Report")
    await expect(report).to_contain_text("Prompt tuning", timeout=40_000)
    await expect(report).to_contain_text("A better prompt was found.")
    await expect(page.get_by_role("region", name="Changes")).to_contain_text("Work carefully")


async def test_samples_are_labelled_blind_by_keyboard(page: Page, world: World) -> None:
    await page.goto(world.pages["label-queue"])
    assert "openai/" not in await page.get_by_role("main").inner_text()
    before = await page.locator("input[name=sample]").get_attribute("value")
    await page.keyboard.press("1")
    await expect(page.locator("input[name=sample]")).not_to_have_attribute("value", before or "")
    await page.goto("/labels")
    await expect(page.get_by_role("region", name="Labels")).to_contain_text("sample")


async def test_a_table_grows_page_by_page(page: Page, world: World) -> None:
    await page.goto(world.pages["run"])
    rows = page.get_by_role("region", name="Samples").locator("tbody tr")
    await expect(rows).to_have_count(50)
    await page.get_by_role("link", name="Next 50").click()
    await expect(rows).to_have_count(100)
    assert len(set(await rows.locator("td:first-child a").evaluate_all("links => links.map(a => a.href)"))) == 100


async def test_keys_lead_through_the_pages(page: Page, world: World) -> None:
    await page.keyboard.press("g")
    await page.keyboard.press("r")
    await page.wait_for_url("**/runs")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await page.wait_for_url(re.compile(r"/runs/[0-9a-f]{32}$"))
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()


async def test_the_theme_stays_as_it_was_chosen(page: Page) -> None:
    await page.get_by_role("button", name="Light or dark").click()
    assert await page.evaluate("document.documentElement.dataset.theme") == "dark"
    await page.reload()
    assert await page.evaluate("document.documentElement.dataset.theme") == "dark"
