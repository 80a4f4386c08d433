"""Few-shot examples: which rows are shown before the evaluated prompt, and how they read.

Selection depends on (seed, sample index) alone, so a rerun, another worker or another machine shows each sample the
same examples. A row never appears among its own examples.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from assay.scoring.errors import FewshotError, PromptTooLongError
from assay.scoring.templates import MAX_RENDERED_CHARS, Template

MAX_EXAMPLES: Final = 100
DEFAULT_EXAMPLE_TEMPLATE: Final = "{{prompt}}\n{{target}}"
DEFAULT_SEPARATOR: Final = "\n\n"


class FewshotStrategy(StrEnum):
    """How the example rows are chosen."""

    FIRST = "first"
    RANDOM = "random"


def effective_count(*, count: int | None, num_fewshot: int | None) -> int:
    """The number of examples that two settings for one thing ask for.

    Args:
        count: ``fewshot.count``; None and 0 both mean "not said here".
        num_fewshot: The task's alias for it, likewise.

    Raises:
        FewshotError: Both are positive and differ, or one is outside 0 to ``MAX_EXAMPLES``.
    """
    named = {"fewshot.count": count or 0, "num_fewshot": num_fewshot or 0}
    for name, value in named.items():
        if not 0 <= value <= MAX_EXAMPLES:
            raise FewshotError(f"{name} is {value}; it must be from 0 to {MAX_EXAMPLES}.", param=name)
    stated = set(named.values()) - {0}
    if len(stated) > 1:
        raise FewshotError(
            f"fewshot.count is {count} and num_fewshot is {num_fewshot}; state one of them, or the same number twice.",
            param="num_fewshot",
        )
    return stated.pop() if stated else 0


def select_examples(
    pool_size: int,
    count: int,
    *,
    strategy: FewshotStrategy,
    seed: int,
    sample_index: int,
    same_split: bool,
) -> tuple[int, ...]:
    """Indexes of the example rows for one sample, in the order they are shown.

    ``first`` takes the pool's first rows. ``random`` draws without replacement by a sparse Fisher-Yates shuffle over
    ``random.Random.random``, the one method whose stream Python promises to keep between versions.

    Args:
        pool_size: Rows in the pool.
        count: Examples wanted.
        strategy: How to choose.
        seed: The task's seed; unused by ``first``.
        sample_index: Index of the evaluated row, from 0.
        same_split: The pool is the evaluated split itself, so row ``sample_index`` is left out.

    Raises:
        FewshotError: The pool has fewer rows than examples are wanted.
    """
    excluded = sample_index if same_split and 0 <= sample_index < pool_size else None
    available = pool_size - (excluded is not None)
    if count > available:
        beside = " besides the evaluated one" if excluded is not None else ""
        raise FewshotError(
            f"{count} few-shot examples are wanted, but the pool has {available} rows{beside}.", param="fewshot.count"
        )
    if strategy is FewshotStrategy.FIRST:
        picks: Sequence[int] = range(count)
    else:
        picks = _draw(available, count, random.Random(f"{seed}/{sample_index}"))
    if excluded is None:
        return tuple(picks)
    return tuple(pick + (pick >= excluded) for pick in picks)


def _draw(available: int, count: int, rng: random.Random) -> list[int]:
    """``count`` distinct integers below ``available``, in O(count) whatever the size of the pool."""
    moved: dict[int, int] = {}
    picks: list[int] = []
    for place in range(count):
        chosen = place + int(rng.random() * (available - place))
        picks.append(moved.get(chosen, chosen))
        moved[chosen] = moved.get(place, place)
    return picks


@dataclass(frozen=True, slots=True)
class FewshotRenderer:
    """Writes examples and joins them with the evaluated prompt. Built once per task."""

    prompt_template: Template
    target_template: Template
    example_template: Template
    """Sees the example's rendered ``prompt`` and ``target``, and its row's other columns."""
    separator: str = DEFAULT_SEPARATOR

    def render_example(self, row: Mapping[str, Any], *, choices: Sequence[str] | None = None) -> str:
        """One example as text. It depends on the row alone, so callers may keep it for the next sample.

        Raises:
            MissingColumnError: A template names a column that the row does not have.
            UnrenderableValueError: A value is not JSON.
            PromptTooLongError: The text passes the bound.
        """
        rendered = {
            "prompt": self.prompt_template.render(row, choices=choices),
            "target": self.target_template.render(row, choices=choices),
        }
        return self.example_template.render({**row, **rendered}, choices=choices)

    def assemble(self, examples: Sequence[str], prompt: str) -> str:
        """The examples, in order, then the evaluated prompt, with the separator between each two.

        Raises:
            PromptTooLongError: The whole passes ``MAX_RENDERED_CHARS``.
        """
        length = sum(map(len, examples)) + len(self.separator) * len(examples) + len(prompt)
        if length > MAX_RENDERED_CHARS:
            raise PromptTooLongError(
                f"The prompt with its {len(examples)} examples has {length} characters; "
                f"at most {MAX_RENDERED_CHARS} are allowed."
            )
        return self.separator.join((*examples, prompt))
