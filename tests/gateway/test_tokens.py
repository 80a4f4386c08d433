"""Counting tokens of any text."""

from __future__ import annotations

import pytest

from assay.gateway.tokens import LONGEST_PIECE, count_tokens


@pytest.mark.parametrize(("text", "count"), [("", 0), ("hello world", 2), ("<|endoftext|>", 7)])
def test_texts_are_counted(text: str, count: int) -> None:
    assert count_tokens(text) == count


def test_longer_texts_than_the_tables_take_at_once_are_counted() -> None:
    pairs = 300_000
    text = "a b " * pairs

    assert 0 <= count_tokens(text) - 2 * pairs <= len(text) // LONGEST_PIECE + 1


def test_many_tokens_for_few_characters_are_counted() -> None:
    assert count_tokens("\U0001d4d0\U00010384" * 40_000) > 80_000
