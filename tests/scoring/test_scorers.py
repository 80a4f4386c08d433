import re
import string
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.scoring.errors import ScoreValueError, UnsupportedFamilyError
from assay.scoring.normalization import normalize_label, normalize_squad
from assay.scoring.scorers import Family, Tolerance, scorer_for, token_f1
from assay.scoring.scores import AnswerFault, Scored, ScoredOutput, Unscored, UnscoredReason, as_score_value

CITIES = ("Paris", "London", "New York")


def score(
    family: str,
    answer: str | None,
    target: str | None,
    *,
    choices: tuple[str, ...] | None = None,
    tolerance: Tolerance | None = None,
) -> Scored | Unscored:
    scorer = scorer_for(family, tolerance=tolerance)
    result = scorer.score(ScoredOutput(answer or "", answer, target, choices))
    if isinstance(result, Scored):
        assert tuple(result.scores) == scorer.metric_ids
    return result


@pytest.mark.parametrize("family", list(Family))
@pytest.mark.parametrize("target", [None, "", " \n"])
def test_a_row_without_target_is_unscored(family: str, target: str | None) -> None:
    result = score(family, "anything", target)
    assert isinstance(result, Unscored)
    assert result.reason is UnscoredReason.NO_TARGET


@pytest.mark.parametrize("family", list(Family))
def test_an_answer_that_was_not_found_is_wrong(family: str) -> None:
    result = score(family, None, "1")
    assert isinstance(result, Scored)
    # Of rates of errors, 1 is the one that is all wrong.
    assert set(result.scores.values()) == {1.0 if family == Family.TRANSCRIPTION else 0.0}
    assert result.fault is AnswerFault.NOT_EXTRACTED


@pytest.mark.parametrize("family", list(Family))
def test_version_names_the_family(family: str) -> None:
    assert re.fullmatch(rf"{family}/\d+", scorer_for(family).version)


@pytest.mark.parametrize("task_type", ["custom", "llm_judge", "semantic_similarity", "audio"])
def test_other_families_are_refused(task_type: str) -> None:
    with pytest.raises(UnsupportedFamilyError, match=rf"'{task_type}'.*give it a grader"):
        scorer_for(task_type)


@pytest.mark.parametrize("family", ["classification", "multiple_choice"])
@pytest.mark.parametrize(
    ("answer", "target", "choices", "expected"),
    [
        # Target: text, letter or position; answer likewise.
        *[(a, t, CITIES, 1.0) for a in ("London", " london. ", "**B**", "(B)", "b", "B) London", "B. It is", "1")
          for t in ("London", "LONDON", "B", "b", "1")],
        ("Paris", "B", CITIES, 0.0),
        ("A", "1", CITIES, 0.0),
        # Text comes before letter and position.
        ("B", "0", ("B", "A"), 1.0),
        ("2", "B", ("1", "2", "3"), 1.0),
        # Choices with the same text are one choice.
        ("C", "A", ("ten", "two", "ten"), 1.0),
        # Case tells choices apart where it must.
        ("CO", "B", ("Co", "CO"), 1.0),
        ("Co", "B", ("Co", "CO"), 0.0),
        # Without choices: normalized labels.
        (" Positive.\n", "positive", None, 1.0),
        ("not  Toxic", "Not toxic", None, 1.0),
        ("(B)", "B", None, 1.0),
        ("negative", "positive", None, 0.0),
        ("", "positive", None, 0.0),
        ("-1", "1", None, 0.0),
        ("?", "?", None, 1.0),
    ],
)  # fmt: skip
def test_labels(family: str, answer: str, target: str, choices: tuple[str, ...] | None, expected: float) -> None:
    result = score(family, answer, target, choices=choices)
    assert isinstance(result, Scored)
    assert result.scores == {"exact_match": expected}
    assert result.fault is None


@pytest.mark.parametrize("answer", ["Rome", "D", "3", "co", "", "the answer is B", "99999999999"])
def test_an_answer_that_is_no_choice_is_wrong_and_says_so(answer: str) -> None:
    choices = CITIES if answer != "co" else ("Co", "CO")
    result = score("multiple_choice", answer, "B", choices=choices)
    assert result == Scored({"exact_match": 0.0}, AnswerFault.NOT_A_CHOICE, choices[1], None)


@pytest.mark.parametrize("target", ["Rome", "D", "3", "-1"])
def test_a_target_that_is_no_choice_is_the_data_s_fault(target: str) -> None:
    result = score("classification", "Paris", target, choices=CITIES)
    assert isinstance(result, Unscored)
    assert result.reason is UnscoredReason.INVALID_TARGET
    assert target in result.message


def test_labels_are_reported_as_the_choices_spell_them() -> None:
    assert score("classification", "c", "london", choices=CITIES) == Scored(
        {"exact_match": 0.0}, None, "London", "New York"
    )


@pytest.mark.parametrize(
    ("answer", "target", "exact", "f1"),
    [
        # Lower case, punctuation and articles do not count.
        ("The Eiffel Tower!", "eiffel tower", 1, 1),
        ("U.S.A.", "USA", 1, 1),
        ("well-known", "wellknown", 1, 1),
        # P = 1/3 (in, paris, france), R = 1/1: 2 * (1/3) / (4/3) = 1/2.
        ("in Paris, France", "Paris", 0, 0.5),
        # Shared multiset {x, x}: P = 2/3, R = 2/2: 2 * (2/3) / (5/3) = 4/5.
        ("x x x", "x x", 0, 0.8),
        ("Rome", "Paris", 0, 0),
        ("", "Paris", 0, 0),
        # Nothing is left of either side.
        ("the", "an", 1, 1),
        ("the", "Paris", 0, 0),
        # Several golds: the best of each. Against "the city of Paris" P = 1/1, R = 1/3, F1 = 1/2.
        ("Paris", '["Paris, France", "the city of Paris"]', 0, 2 / 3),
        ("Paris", '["London", "paris"]', 1, 1),
        # Not an array of strings: the text itself.
        ("1 2", "[1, 2]", 1, 1),
        ("a b", "[a, b]", 1, 1),
        ("key x", '{"key": "x"}', 1, 1),
    ],
)
def test_qa(answer: str, target: str, exact: float, f1: float) -> None:
    result = score("qa", answer, target)
    assert isinstance(result, Scored)
    assert result.scores == {"exact_match": exact, "f1": pytest.approx(f1)}


@pytest.mark.parametrize("target", ["[]", '[""]', '[" ", ""]'])
def test_no_gold_in_an_array_is_no_target(target: str) -> None:
    assert isinstance(score("qa", "x", target), Unscored)


def reference_squad(text: str) -> str:
    """The published order of steps, one at a time."""
    lowered = text.lower()
    bare = "".join(character for character in lowered if character not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())


@settings(deadline=None)
@given(st.text(alphabet="aAnthe .,!-’\n\tÉß1", max_size=30))
def test_squad_normalization_follows_the_published_steps(text: str) -> None:
    assert normalize_squad(text) == reference_squad(text)
    assert normalize_squad(normalize_squad(text)) == normalize_squad(text)


@settings(deadline=None)
@given(st.lists(st.sampled_from("abc"), max_size=6), st.lists(st.sampled_from("abc"), max_size=6))
def test_token_f1_is_the_harmonic_mean(answer: list[str], gold: list[str]) -> None:
    shared = sum((Counter(answer) & Counter(gold)).values())
    if shared:
        precision, recall = shared / len(answer), shared / len(gold)
        expected = 2 * precision * recall / (precision + recall)
    else:
        expected = float(not answer and not gold)
    assert token_f1(" ".join(answer), " ".join(gold)) == pytest.approx(expected)
    assert token_f1(" ".join(gold), " ".join(answer)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("**Not  Toxic.**", "not toxic"), ("`B`", "b"), ("“yes”", "yes"), ("(a)", "a"), ("C++", "c++"), ("C#", "c#"),
        ("-1", "-1"), ("50%", "50%"), ("?", "?"), ("...", "..."), ("", ""), ("u.s.", "u.s"), ("Straße", "strasse"),
    ],
)  # fmt: skip
def test_label_normalization(text: str, expected: str) -> None:
    assert normalize_label(text) == expected


@pytest.mark.parametrize(
    ("answer", "target", "tolerance", "expected"),
    [
        ("42", "42", None, 1), ("42.0", "42", None, 1), ("1,234.5", "1234.50", None, 1), ("$3", "3", None, 1),
        ("50%", "50", None, 1), ("50%", "0.5", None, 0), ("0.75", "3/4", None, 1), ("1/3", "0.3333", None, 0),
        ("The answer is 42.", "42", None, 1), ("41", "42", None, 0), ("-42", "42", None, 0),
        # 0.1 + 0.2 differs from 0.3 by 5.6e-17, far below the default 1e-9.
        ("0.30000000000000004", "0.3", None, 1), ("0.300001", "0.3", None, 0),
        # Absolute: |3.14 - 3.2| = 0.06. Relative: 0.06 / 3.2 = 0.01875.
        ("3.14", "3.2", Tolerance(absolute=0.07), 1), ("3.14", "3.2", Tolerance(absolute=0.05), 0),
        ("3.14", "3.2", Tolerance(relative=0.02), 1), ("3.14", "3.2", Tolerance(relative=0.018), 0),
        # The larger of the two counts; around 0 only the absolute one can.
        ("0.05", "0", Tolerance(absolute=0.1, relative=0), 1), ("0.05", "0", Tolerance(relative=0.5), 0),
        ("5", "5", Tolerance(absolute=0, relative=0), 1),
    ],
)  # fmt: skip
def test_numeric(answer: str, target: str, tolerance: Tolerance | None, expected: float) -> None:
    assert score("numeric", answer, target, tolerance=tolerance) == Scored({"numeric_match": expected})


@pytest.mark.parametrize("answer", ["", "many", "nan", "inf", "1e999"])
def test_an_answer_that_is_no_number_is_wrong_and_says_so(answer: str) -> None:
    assert score("numeric", answer, "42") == Scored({"numeric_match": 0.0}, AnswerFault.NOT_A_NUMBER)


@pytest.mark.parametrize("target", ["many", "nan", "2 or 3", "1,5"])
def test_a_target_that_is_no_number_is_the_data_s_fault(target: str) -> None:
    result = score("numeric", "3", target)
    assert isinstance(result, Unscored)
    assert result.reason is UnscoredReason.INVALID_TARGET


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_a_tolerance_is_finite_and_not_negative(bad: float) -> None:
    with pytest.raises(ScoreValueError):
        Tolerance(absolute=bad)
    with pytest.raises(ScoreValueError):
        Tolerance(relative=bad)


@pytest.mark.parametrize(("value", "expected"), [(True, 1.0), (False, 0.0), (3, 3.0), (-0.5, -0.5)])
def test_score_values(value: object, expected: float) -> None:
    result = as_score_value(value)
    assert result == expected
    assert type(result) is float


@pytest.mark.parametrize("value", [None, "1", [], float("nan"), float("inf"), float("-inf"), 10**400, 1j])
def test_score_values_are_finite_numbers(value: object) -> None:
    with pytest.raises(ScoreValueError):
        as_score_value(value)
