import itertools
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.scoring.errors import FewshotError, MissingColumnError, PromptTooLongError
from assay.scoring.fewshot import (
    DEFAULT_EXAMPLE_TEMPLATE,
    FewshotRenderer,
    FewshotStrategy,
    effective_count,
    select_examples,
)
from assay.scoring.templates import MAX_RENDERED_CHARS, Template


@pytest.mark.parametrize(
    ("count", "num_fewshot", "expected"),
    [(0, 0, 0), (None, None, 0), (3, None, 3), (3, 0, 3), (0, 5, 5), (None, 5, 5), (4, 4, 4), (100, None, 100)],
)
def test_effective_count(count: int | None, num_fewshot: int | None, expected: int) -> None:
    assert effective_count(count=count, num_fewshot=num_fewshot) == expected


@pytest.mark.parametrize(("count", "num_fewshot"), [(3, 4), (-1, None), (None, 101), (101, 101)])
def test_effective_count_refuses(count: int | None, num_fewshot: int | None) -> None:
    with pytest.raises(FewshotError):
        effective_count(count=count, num_fewshot=num_fewshot)


def choose(
    pool_size: int, count: int, *, strategy: str = "random", seed: int = 0, sample: int = 0, same: bool = True
) -> tuple[int, ...]:
    return select_examples(
        pool_size, count, strategy=FewshotStrategy(strategy), seed=seed, sample_index=sample, same_split=same
    )


@pytest.mark.parametrize(
    ("sample", "same", "expected"),
    [(0, True, (1, 2, 3)), (1, True, (0, 2, 3)), (7, True, (0, 1, 2)), (0, False, (0, 1, 2)), (99, True, (0, 1, 2))],
)
def test_first_takes_the_first_others(sample: int, same: bool, expected: tuple[int, ...]) -> None:
    assert choose(10, 3, strategy="first", sample=sample, same=same) == expected


@settings(deadline=None)
@given(pool_size=st.integers(1, 60), seed=st.integers(), sample=st.integers(0, 80), same=st.booleans(), data=st.data())
def test_random_draws_are_distinct_valid_repeatable_and_never_the_evaluated_row(
    pool_size: int, seed: int, sample: int, same: bool, data: st.DataObject
) -> None:
    available = pool_size - (same and sample < pool_size)
    count = data.draw(st.integers(0, available))
    picks = choose(pool_size, count, seed=seed, sample=sample, same=same)
    assert picks == choose(pool_size, count, seed=seed, sample=sample, same=same)
    assert len(set(picks)) == len(picks) == count
    assert all(0 <= pick < pool_size for pick in picks)
    assert not (same and sample in picks)


def test_random_is_fixed_for_all_time() -> None:
    # Recorded once: a change would give every stored suite other prompts.
    assert choose(1000, 5, seed=42, sample=7) == (717, 739, 482, 821, 935)


def test_random_depends_on_seed_and_sample() -> None:
    drawn = {choose(1000, 5, seed=seed, sample=sample) for seed, sample in itertools.product(range(5), range(5))}
    assert len(drawn) == 25


def test_random_is_uniform() -> None:
    # 6,000 draws of 2 from 4 rows: each ordered pair of 12 is expected 500 times, standard deviation 21.4.
    counts = Counter(choose(4, 2, sample=sample, same=False) for sample in range(6000))
    assert len(counts) == 12
    assert all(abs(count - 500) < 5 * 21.4 for count in counts.values())


@pytest.mark.parametrize("strategy", ["first", "random"])
def test_a_pool_that_is_too_small_is_refused(strategy: str) -> None:
    assert len(choose(5, 5, strategy=strategy, same=False)) == 5
    with pytest.raises(FewshotError, match="5 few-shot examples are wanted, but the pool has 4 rows besides"):
        choose(5, 5, strategy=strategy, same=True)


def renderer(example: str = DEFAULT_EXAMPLE_TEMPLATE, *, separator: str = "\n\n") -> FewshotRenderer:
    return FewshotRenderer(
        Template.parse("Q: {{q}}"), Template.parse("A: {{a}}"), Template.parse(example), separator=separator
    )


def test_examples_and_prompt_are_joined() -> None:
    fewshot = renderer()
    examples = [fewshot.render_example({"q": "1+1", "a": 2}), fewshot.render_example({"q": "2+2", "a": 4})]
    assert fewshot.assemble(examples, "Q: 3+3") == "Q: 1+1\nA: 2\n\nQ: 2+2\nA: 4\n\nQ: 3+3"
    assert fewshot.assemble([], "Q: 3+3") == "Q: 3+3"


def test_the_rendered_prompt_hides_a_column_of_that_name() -> None:
    fewshot = renderer("{{topic}}|{{prompt}}|{{target}}")
    assert fewshot.render_example({"q": "x", "a": "y", "prompt": "raw", "topic": "t"}) == "t|Q: x|A: y"


def test_a_missing_column_is_named() -> None:
    with pytest.raises(MissingColumnError, match="'a'"):
        renderer().render_example({"q": "x"})


def test_the_whole_prompt_is_bounded() -> None:
    with pytest.raises(PromptTooLongError, match="1 examples"):
        renderer(separator="").assemble(["x" * MAX_RENDERED_CHARS], "y")
