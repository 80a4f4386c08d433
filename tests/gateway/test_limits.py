from __future__ import annotations

import asyncio

import pytest

from assay.gateway.limits import LATENCY_FLOOR, AdaptiveLimiter


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_waiters_are_served_in_order_of_arrival() -> None:
    limiter = AdaptiveLimiter(1, initial=1)
    order: list[int] = []

    async def use(number: int) -> None:
        await limiter.acquire()
        order.append(number)
        limiter.release_failed()

    await limiter.acquire()
    tasks = [asyncio.create_task(use(number)) for number in range(5)]
    await _settle()
    assert (limiter.waiting, order) == (5, [])
    limiter.release_failed()
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4]
    assert limiter.in_flight == 0


async def test_a_full_round_of_successes_adds_one_place() -> None:
    limiter = AdaptiveLimiter(100, initial=10)
    for _ in range(10):
        await limiter.acquire()
    for _ in range(11):  # the limit grows within the round, so one more is needed
        limiter.release(0.1)
        await limiter.acquire()
    assert limiter.limit == 11


async def test_successes_of_an_idle_limiter_add_nothing() -> None:
    limiter = AdaptiveLimiter(100, initial=10)
    for _ in range(200):
        await limiter.acquire()
        limiter.release(0.1)
    assert limiter.limit == 10


async def test_the_maximum_holds() -> None:
    limiter = AdaptiveLimiter(2)
    assert limiter.limit == 2
    for _ in range(100):
        await limiter.acquire()
        await limiter.acquire()
        limiter.release(0.1)
        limiter.release(0.1)
    assert limiter.limit == 2


async def test_a_burst_of_rate_limits_halves_once() -> None:
    limiter = AdaptiveLimiter(100, initial=40)
    for _ in range(40):
        await limiter.acquire()
    for _ in range(40):
        limiter.release_rate_limited(None)
    assert limiter.limit == 20
    assert limiter.in_flight == 0


async def test_retry_after_holds_everybody_back_and_then_lets_go() -> None:
    limiter = AdaptiveLimiter(10)
    await limiter.acquire()
    limiter.release_rate_limited(0.05)
    assert 0 < limiter.pause_seconds <= 0.05
    loop = asyncio.get_running_loop()
    start = loop.time()
    async with asyncio.timeout(5):
        await limiter.acquire()
    assert loop.time() - start >= 0.045


async def test_a_pause_is_bounded() -> None:
    limiter = AdaptiveLimiter(10)
    await limiter.acquire()
    limiter.release_rate_limited(1e9)
    assert limiter.pause_seconds <= 120


async def test_risen_latency_takes_places_away_but_not_below_the_floor() -> None:
    limiter = AdaptiveLimiter(100, initial=40)
    for _ in range(200):
        await limiter.acquire()
        limiter.release(0.01)
    before = limiter.limit
    for _ in range(20):
        await limiter.acquire()
        limiter.release(1.0)
    assert LATENCY_FLOOR <= limiter.limit < before


async def test_a_cancelled_waiter_leaves_the_queue() -> None:
    limiter = AdaptiveLimiter(1)
    await limiter.acquire()
    first, second = (asyncio.create_task(limiter.acquire()) for _ in range(2))
    await _settle()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert limiter.waiting == 1
    limiter.release_failed()
    await second
    assert limiter.in_flight == 1


async def test_a_place_given_to_a_cancelled_waiter_goes_on_to_the_next() -> None:
    limiter = AdaptiveLimiter(1)
    await limiter.acquire()
    first, second = (asyncio.create_task(limiter.acquire()) for _ in range(2))
    await _settle()
    limiter.release_failed()  # gives the place to the first, which is cancelled before it runs
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await asyncio.wait_for(second, 5)
    assert (limiter.in_flight, limiter.waiting) == (1, 0)
