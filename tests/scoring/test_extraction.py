import contextlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.scoring.errors import ExtractionSpecError, ExtractionTimeoutError
from assay.scoring.extraction import (
    MAX_LABEL_CHARS,
    MAX_LABELS,
    MAX_PATTERN_CHARS,
    ExtractionSpec,
    LabelSet,
    LastNumber,
    Pattern,
    TakeFirst,
    WholeOutput,
    build_extractor,
)

TOXIC = LabelSet(("toxic", "Not Toxic"))
LETTERS = LabelSet(("A", "B", "C"), case_sensitive=True)


@pytest.mark.parametrize(
    ("spec", "text", "expected"),
    [
        (WholeOutput(), " as it\nstands ", " as it\nstands "),
        (WholeOutput(), "", ""),
        (TakeFirst(), "\n\n  Paris \nbecause", "Paris"),
        (TakeFirst(), "Paris\r\nbecause", "Paris"),
        (TakeFirst(), " \n\t", None),
        (TakeFirst(lines=2), "a\n\nb", "a"),
        (TakeFirst(lines=3), "a\n\nb\nc", "a\n\nb"),
        (TakeFirst(lines=9), "a\nb", "a\nb"),
        (Pattern("[0-9]+"), "a 12 b 34", "12"),
        (Pattern("[0-9]+", last=True), "a 12 b 34", "34"),
        (Pattern("n=([0-9]+)"), "n=1 n=2", "1"),
        (Pattern("n=([0-9]+)", last=True), "n=1 n=2", "2"),
        (Pattern("n=([0-9]+)", group=0), "n=1", "n=1"),
        (Pattern("(?P<key>[a-z])=(?P<value>.)", group="value"), "k=v", "v"),
        (Pattern("(a)|(b)", group=2), "a", None),
        (Pattern("x*"), "y", ""),
        (Pattern("z"), "y", None),
        (Pattern("ANSWER: (.*)", flags="i"), "answer: b\nc", "b"),
        (Pattern("^b$", flags="m"), "a\nb\nc", "b"),
        (Pattern("a.c", flags="s"), "a\nc", "a\nc"),
        (Pattern("a  b # comment", flags="x"), "ab", "ab"),
        (Pattern(r"\d{4}-\d{2}-\d{2}"), "on 2024-05-06.", "2024-05-06"),
        (Pattern("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "x", None),
        (TOXIC, "It is TOXIC.", "toxic"),
        (TOXIC, "It is not   toxic.", "Not Toxic"),
        (TOXIC, "First I thought not toxic, but it is **toxic**", "toxic"),
        (TOXIC, "toxic? No: not toxic", "Not Toxic"),
        (TOXIC, "nontoxic, toxicity, not_toxic", None),
        (TOXIC, "", None),
        (LETTERS, "A good answer is (B).", "B"),
        (LETTERS, "a b c", None),
        (LETTERS, "答案是B。", "B"),
        (LETTERS, "ABC", None),
        (LabelSet(("正面", "负面")), "这是负面的评论", "负面"),
        (LabelSet(("C", "C++")), "I use C++ daily", "C++"),
        (LabelSet(("Straße", "Weg")), "die STRASSE", "Straße"),
        (LabelSet(("new york", "york shire")), "New York Shire", "york shire"),
        (LabelSet(("a.c",)), "abc", None),
        (LastNumber(), "6 * 7 = 42", "42"),
        (LastNumber(), "none", None),
    ],
)
def test_extracts(spec: ExtractionSpec, text: str, expected: str | None) -> None:
    assert build_extractor(spec).extract(text) == expected


@pytest.mark.parametrize(
    ("spec", "param", "message"),
    [
        (TakeFirst(lines=0), "lines", "from 1 to"),
        (Pattern("("), "pattern", "not valid"),
        (Pattern("a{2}{2}"), "pattern", "multiple repeat"),
        (Pattern("(?P<n>a)(?P=m)"), "pattern", "not valid"),
        (Pattern("(?V1)a"), "pattern", "not valid"),
        (Pattern(r"\L<words>"), "pattern", "not valid"),
        (Pattern("(" * 450 + ")" * 450), "pattern", "nested too deeply"),
        (Pattern("a" * (MAX_PATTERN_CHARS + 1)), "pattern", "at most"),
        (Pattern("((((a{1000}){1000}){1000}){1000})"), "pattern", "repeat counts"),
        (Pattern("(?:" * 20 + "a" + "){2}" * 20), "pattern", "repeat counts"),
        (Pattern("a{1 000}", flags="x"), "pattern", "without spaces"),
        (Pattern("(?x)a{1#\n000}"), "pattern", "without spaces"),
        (Pattern("a{" + "9" * 500 + "}"), "pattern", "repeat counts"),
        (Pattern("a", flags="ig"), "flags", "'g'"),
        (Pattern("(a)", group=2), "group", "it has 1"),
        (Pattern("(a)", group=-1), "group", "no group -1"),
        (Pattern("(a)", group=True), "group", "no group True"),
        (Pattern("(?P<n>a)", group="m"), "group", "its names: n"),
        (LabelSet(()), "labels", "0 labels"),
        (LabelSet(tuple(map(str, range(MAX_LABELS + 1)))), "labels", "1001 labels"),
        (LabelSet(("a", " ")), "labels[1]", "blank"),
        (LabelSet(("Yes", "no", "YES")), "labels[2]", "cannot be told from 'Yes'"),
        (LabelSet(("x" * (MAX_LABEL_CHARS + 1),)), "labels[0]", "at most"),
    ],
)
def test_refuses_a_rule_that_cannot_work(spec: ExtractionSpec, param: str, message: str) -> None:
    with pytest.raises(ExtractionSpecError) as caught:
        build_extractor(spec)
    assert caught.value.param == param
    assert message in caught.value.message


def test_labels_that_differ_by_case_only_are_told_apart_when_asked() -> None:
    assert build_extractor(LabelSet(("US", "us"), case_sensitive=True)).extract("for us") == "us"


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(
    ("pattern", "text"), [("(a|aa)+$", "a" * 60 + "b"), (r"^(\w+\s?)*$", "word " * 12 + "!"), ("(x+x+)+y", "x" * 200)]
)
def test_a_catastrophic_pattern_never_hangs(pattern: str, text: str, last: bool) -> None:
    extractor = build_extractor(Pattern(pattern, last=last))
    started = time.perf_counter()
    with contextlib.suppress(ExtractionTimeoutError):  # the engine sees through some of them
        assert extractor.extract(text) is None
    assert time.perf_counter() - started < 2


def test_a_timeout_says_what_was_too_slow() -> None:
    with pytest.raises(
        ExtractionTimeoutError, match=r"did not finish within 0.1 s on an output of 61 characters"
    ) as caught:
        build_extractor(Pattern("(a|aa)+$")).extract("a" * 60 + "b")
    assert caught.value.data["pattern"] == "(a|aa)+$"


def test_the_timeout_covers_all_matches_of_one_output_together() -> None:
    started = time.perf_counter()
    with pytest.raises(ExtractionTimeoutError):
        build_extractor(Pattern(r"\d", last=True)).extract("1" * 20_000_000)
    assert time.perf_counter() - started < 2


@settings(deadline=None)
@given(pattern=st.text(alphabet="ab()[]{}|*+?.\\^$123,dwLP<>=!:#- \nxé", max_size=30), text=st.text(max_size=50))
def test_any_pattern_is_refused_or_runs(pattern: str, text: str) -> None:
    for last in (False, True):
        try:
            extractor = build_extractor(Pattern(pattern, last=last))
        except ExtractionSpecError:
            continue
        with contextlib.suppress(ExtractionTimeoutError):
            found = extractor.extract(text)
            assert found is None or found in text


@settings(deadline=None)
@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=6), st.text(max_size=40))
def test_a_label_is_found_as_spelled_and_only_labels_are(labels: list[str], around: str) -> None:
    try:
        extractor = build_extractor(LabelSet(tuple(labels)))
    except ExtractionSpecError:
        return
    assert extractor.extract(around) in {None, *labels}
    for label in labels:
        assert extractor.extract(f"{around} . {label}") in labels
