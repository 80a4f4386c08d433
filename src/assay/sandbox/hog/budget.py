"""What a run has used up, and the rule that nothing is computed or allocated before it is paid for.

*Time.* Every instruction is a step; library functions pay more steps for more work, in advance. The clock is read every
`CLOCK_STEPS` steps and at each call.

*Memory.* The cost model (contract §5.9) prices what is alive: 8 for each value, 1 for each character, containers with
their content. Pricing everything after each instruction would be quadratic, so the budget adds up what is allocated and
counts what is alive only when the sum reaches the limit. Little is ever counted: programs that drop what they
make are counted once per limit's worth of garbage. A container that is referenced from two places is counted once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from assay.sandbox.hog.errors import HogFailure, MemoryUsedUp, TimeUsedUp
from assay.sandbox.hog.limits import CLOCK_STEPS, MAX_INTEGER_BITS, HogLimits
from assay.sandbox.hog.values import VALUE_COST, children

# Counting what is alive near the limit must not happen at every allocation.
_SLACK = 1 / 16
# Types of values that cost no more than any value; a container of nothing else need not be walked through.
_FLAT = frozenset((int, float, bool, type(None)))


class Budget:
    """The account of one run.

    Args:
        limits: What may be used up.
        roots: All values from which others can be reached.
        now: The clock of ``now()`` and ``today()``.
    """

    def __init__(
        self, limits: HogLimits, roots: Callable[[], Iterable[Any]], now: Callable[[], datetime] | None = None
    ) -> None:
        self.limits = limits
        self.printed: list[str] = []
        self.now: Callable[[], datetime] = now or _utc_now
        self._roots = roots
        self._steps = 0
        self._next_look = CLOCK_STEPS
        self._deadline = time.monotonic() + limits.seconds
        self._allocated = 0
        self._ceiling = limits.memory_bytes
        self._printable = limits.printed_characters

    def step(self, count: int = 1) -> None:
        """Pay for work.

        Raises:
            TimeUsedUp: No steps or seconds are left.
        """
        self._steps += count
        if self._steps >= self._next_look:
            self.look_at_clock()
            self._next_look = self._steps + CLOCK_STEPS

    def look_at_clock(self) -> None:
        """Compare with the limits of time.

        Raises:
            TimeUsedUp: They are passed.
        """
        if time.monotonic() > self._deadline:
            raise TimeUsedUp(f"Execution timed out after {self.limits.seconds:g}s")
        if self._steps > self.limits.steps:
            bound = f"its {self.limits.steps} steps before its {self.limits.seconds:g}s"
            raise TimeUsedUp(f"Execution timed out: it used up {bound}")

    def charge(self, cost: int) -> None:
        """Pay for memory, before it is allocated.

        Raises:
            MemoryUsedUp: With it, the living values would cost more than the limit.
        """
        self._allocated += cost
        if self._allocated > self._ceiling:
            self._count_living(cost)

    def charge_text(self, characters: int) -> None:
        """Pay for a new string."""
        self.charge(VALUE_COST + characters)

    def charge_items(self, count: int) -> None:
        """Pay for a new container of values that exist, and for reading them."""
        self.charge(VALUE_COST * (count + 1))
        self.step(1 + count // 16)

    def _count_living(self, incoming: int) -> None:
        limit = self.limits.memory_bytes
        if incoming > limit:
            raise self.too_much_memory()
        living = measure(self._roots(), self.look_at_clock, stop_above=limit) + incoming
        if living > limit:
            raise self.too_much_memory()
        self._allocated = living
        self._ceiling = max(limit, living + int(limit * _SLACK))

    def too_much_memory(self) -> MemoryUsedUp:
        """The failure, for who found the reason elsewhere."""
        mebibytes = self.limits.memory_bytes / (1024 * 1024)
        return MemoryUsedUp(f"Memory limit of {mebibytes:g} MB exceeded")

    def integer(self, value: int) -> int:
        """An integer that is small enough to be a result.

        Raises:
            HogFailure: It is too large.
        """
        if value.bit_length() > MAX_INTEGER_BITS:
            raise HogFailure(f"Integer too large: more than {MAX_INTEGER_BITS} bits")
        return value

    def print_line(self, line: str) -> None:
        """Add a line of output; what goes beyond the limit is dropped."""
        if self._printable < 0:
            return
        kept = line[: self._printable]
        self._printable -= len(line) + 1
        if self._printable >= 0:
            self.printed.append(line)
            return
        note = f"[output cut after {self.limits.printed_characters} characters]"
        self.printed.extend([kept, note] if kept else [note])


def _utc_now() -> datetime:
    return datetime.now(UTC)


def measure(values: Iterable[Any], look: Callable[[], None], *, stop_above: int) -> int:
    """Cost of values and all that can be reached from them.

    Args:
        values: Where to start.
        look: Called now and then; may raise.
        stop_above: A total beyond which it need not be exact.
    """
    total = 0
    seen: set[int] = set()
    pending = [iter(values)]
    while pending and total <= stop_above:
        for value in pending[-1]:
            total += VALUE_COST
            if isinstance(value, str):
                total += len(value)
            elif (inside := children(value)) is not None and id(value) not in seen:
                seen.add(id(value))
                if not len(seen) % CLOCK_STEPS:
                    look()
                if _FLAT.issuperset(map(type, inside)):
                    total += VALUE_COST * len(inside)
                    continue
                pending.append(iter(inside))
                break
        else:
            pending.pop()
    return total
