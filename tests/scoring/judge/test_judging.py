"""Questions, votes, scores and versions."""

from collections.abc import Callable, Sequence

import pytest

from assay.scoring.errors import JudgeQuestionError
from assay.scoring.judge import (
    Ask,
    CategoricalScale,
    CheckItem,
    Checklist,
    FailureKind,
    ItemOutcome,
    Judge,
    Judgement,
    NumericScale,
    Option,
    Order,
    Pairwise,
    Preference,
    Question,
    Reading,
    Rubric,
    Unreadable,
    join_orders,
    metric_ids,
    scores_of,
    take_vote,
)

BOOLEAN = Rubric(criteria="c", allows_na=True)
NUMERIC = Rubric(criteria="c", scale=NumericScale())
ONE_OF = Rubric(criteria="c", scale=CategoricalScale(options=(Option("a"), Option("b"), Option("c"))))
SOME_OF = Rubric(criteria="c", scale=CategoricalScale(options=(Option("a"), Option("b"), Option("c")), multiple=True))
CHECKS = Checklist(
    items=(
        CheckItem(id="safe", criteria="c", weight=0, gate=True),
        CheckItem(id="cites", criteria="c", weight=3),
        CheckItem(id="short", criteria="c"),
    ),
    allows_na=True,
)
PAIR = Pairwise(criteria="c")
YES, NO, NA = Judgement(passed=True), Judgement(passed=False), Judgement(applicable=False)
BROKEN = Unreadable(FailureKind.EMPTY, "")
MET, NOT_MET, NONE = ItemOutcome.MET, ItemOutcome.NOT_MET, ItemOutcome.NOT_APPLICABLE
WIN, LOSS, TIE = (Judgement(preference=preference) for preference in Preference)


def checks(safe: ItemOutcome, cites: ItemOutcome, short: ItemOutcome) -> Judgement:
    return Judgement(items={"safe": safe, "cites": cites, "short": short})


def chose(*keys: str) -> Judgement:
    return Judgement(categories=keys)


def scored(number: float) -> Judgement:
    return Judgement(score=number)


@pytest.mark.parametrize(
    ("question", "readings", "expected", "agreement"),
    [
        (BOOLEAN, [YES], YES, None),
        (BOOLEAN, [BROKEN], BROKEN, None),
        (BOOLEAN, [YES, YES, NO], YES, 1 / 3),
        (BOOLEAN, [YES, NO], FailureKind.NO_MAJORITY, 0.0),
        (BOOLEAN, [YES, YES, BROKEN], YES, 1.0),
        (BOOLEAN, [YES, BROKEN, BROKEN], FailureKind.TOO_FEW_READABLE, None),
        (BOOLEAN, [YES, BROKEN], FailureKind.TOO_FEW_READABLE, None),
        (BOOLEAN, [NA, NA, YES], NA, 1 / 3),
        (BOOLEAN, [NA, YES], FailureKind.NO_MAJORITY, 0.0),
        (BOOLEAN, [NA, YES, YES, NO, YES], YES, 3 / 10),
        (NUMERIC, [scored(1), scored(5), scored(2)], scored(2), 0.0),
        (NUMERIC, [scored(1), scored(2)], scored(1.5), 0.0),
        (ONE_OF, [chose("a"), chose("b"), chose("a")], chose("a"), 1 / 3),
        (ONE_OF, [chose("a"), chose("b"), chose("c")], FailureKind.NO_MAJORITY, 0.0),
        (SOME_OF, [chose("a", "b"), chose("b", "c"), chose("a", "c")], chose("a", "b", "c"), 0.0),
        (SOME_OF, [chose("a"), chose("a", "b"), chose("a", "c")], chose("a"), 0.0),
        (SOME_OF, [chose("a"), chose("b"), chose("c")], FailureKind.NO_MAJORITY, 0.0),
        (
            CHECKS,
            [checks(MET, MET, NOT_MET), checks(MET, NOT_MET, NOT_MET), checks(MET, MET, MET)],
            checks(MET, MET, NOT_MET),
            # Shares of the pairs: 2/3, 2/3, 1/3.
            5 / 9,
        ),
        (CHECKS, [checks(MET, MET, MET), checks(MET, MET, NOT_MET)], FailureKind.NO_MAJORITY, 2 / 3),
        (PAIR, [WIN, WIN, TIE], WIN, 1 / 3),
        (PAIR, [WIN, LOSS], TIE, 0.0),
    ],
)
def test_votes(
    question: Question, readings: Sequence[Reading], expected: Reading | FailureKind, agreement: float | None
) -> None:
    vote = take_vote(question, readings)
    assert (vote.reading.kind if isinstance(expected, FailureKind) else vote.reading) == expected  # type: ignore[union-attr]
    assert vote.agreement == (None if agreement is None else pytest.approx(agreement))


def test_the_spread_of_numbers() -> None:
    assert take_vote(NUMERIC, [scored(1), scored(5), scored(2)]).spread == 4
    assert take_vote(NUMERIC, [scored(1), BROKEN, scored(1)]).spread == 0
    assert take_vote(BOOLEAN, [YES, YES]).spread is None


def test_reasons_are_those_of_a_vote_that_won() -> None:
    votes = [Judgement(passed=False, reasoning="no"), Judgement(passed=True, reasoning="yes"), YES]
    assert take_vote(BOOLEAN, votes).reading == Judgement(passed=True, reasoning="yes")


def test_orders_that_contradict_each_other_are_a_tie() -> None:
    assert join_orders(WIN, WIN) == Judgement(preference=Preference.CANDIDATE, swaps_agree=True)
    assert join_orders(WIN, LOSS) == Judgement(preference=Preference.TIE, swaps_agree=False)
    assert join_orders(WIN, TIE) == Judgement(preference=Preference.TIE, swaps_agree=False)
    assert join_orders(BROKEN, WIN) == BROKEN
    assert join_orders(WIN, BROKEN) == BROKEN


SCORED = Rubric(
    criteria="c", scale=CategoricalScale(options=(Option("a", score=1), Option("b", score=0.5)), multiple=True)
)


@pytest.mark.parametrize(
    ("question", "judgement", "scores"),
    [
        (BOOLEAN, YES, {"m": 1.0}),
        (BOOLEAN, NO, {"m": 0.0}),
        (BOOLEAN, NA, {}),
        (NUMERIC, scored(3.5), {"m": 3.5}),
        (ONE_OF, chose("b"), {"m.a": 0.0, "m.b": 1.0, "m.c": 0.0}),
        (SCORED, chose("a", "b"), {"m": 0.75}),
        (CHECKS, checks(MET, MET, NOT_MET), {"m": 0.75, "m.safe": 1.0, "m.cites": 1.0, "m.short": 0.0}),
        (CHECKS, checks(NOT_MET, MET, MET), {"m": 0.0, "m.safe": 0.0, "m.cites": 1.0, "m.short": 1.0}),
        (CHECKS, checks(NONE, NONE, MET), {"m": 1.0, "m.short": 1.0}),
        (CHECKS, checks(MET, NONE, NONE), {"m.safe": 1.0}),
        (CHECKS, checks(NOT_MET, NONE, NONE), {"m": 0.0, "m.safe": 0.0}),
        (PAIR, WIN, {"m": 1.0}),
        (PAIR, TIE, {"m": 0.5}),
        (PAIR, LOSS, {"m": 0.0}),
    ],
)
def test_scores(question: Question, judgement: Judgement, scores: dict[str, float]) -> None:
    assert scores_of(question, judgement, "m") == scores
    assert set(scores) <= set(metric_ids(question, "m"))


def test_what_a_panel_asks_and_decides() -> None:
    judge = Judge(question=PAIR, models=("x", "y"), repeats=2)
    asks = judge.asks()
    assert asks[:3] == [
        Ask(0, 0, Order.CANDIDATE_FIRST),
        Ask(0, 0, Order.BASELINE_FIRST),
        Ask(0, 1, Order.CANDIDATE_FIRST),
    ]
    assert len(asks) == 8
    # x prefers the candidate in both repeats; y sees a tie, and once contradicts itself.
    vote = judge.decide([WIN, WIN, WIN, WIN, TIE, TIE, WIN, LOSS])
    assert [one.reading for one in vote.by_model] == [
        Judgement(preference=Preference.CANDIDATE, swaps_agree=True),
        Judgement(preference=Preference.TIE, swaps_agree=True),
    ]
    assert isinstance(vote.reading, Judgement)
    assert vote.reading.preference is Preference.TIE
    assert vote.panel.agreement == 0
    with pytest.raises(ValueError, match="7 readings of 8 requests"):
        judge.decide([WIN] * 7)


def test_versions_tell_judges_apart() -> None:
    judge = Judge(question=BOOLEAN)
    others = [
        Judge(question=Rubric(criteria="d", allows_na=True)),
        Judge(question=Rubric(criteria="c")),
        Judge(question=NUMERIC),
        Judge(question=Rubric(criteria="c", scale=NumericScale(), allows_na=True)),
        Judge(question=PAIR),
        Judge(question=BOOLEAN, models=("x",)),
        Judge(question=BOOLEAN, repeats=3),
        Judge(question=BOOLEAN, settings={"temperature": 0.0}),
    ]
    versions = [judge.version(), judge.version(["resolved"]), *(other.version() for other in others)]
    assert len(set(versions)) == len(versions)
    assert judge.version() == Judge(question=Rubric(criteria="c", allows_na=True)).version()
    # Calibrations are stored with versions: the digest of a judge that has not changed never changes.
    assert judge.version() == "9f42f1dc9e6ccdce"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rubric(criteria=" "), "blank"),
        (lambda: NumericScale(minimum=2, maximum=1), "above the maximum"),
        (lambda: NumericScale(step=0), "above 0"),
        (lambda: NumericScale(maximum=float("nan")), "finite"),
        (lambda: CategoricalScale(options=()), "0 options"),
        (lambda: CategoricalScale(options=(Option("a-b"), Option("A_B"))), "same name"),
        (lambda: CategoricalScale(options=(Option("a", score=1), Option("b"))), "others none"),
        (lambda: CategoricalScale(options=(Option("a b"),)), "cannot name"),
        (lambda: Checklist(items=(CheckItem(id="a", criteria="c", weight=0),)), "No item has a weight"),
        (lambda: CheckItem(id="a", criteria="c", weight=-1), "at least 0"),
        (lambda: Judge(question=BOOLEAN, models=()), "not 0"),
        (lambda: Judge(question=BOOLEAN, models=("x", "x")), "named twice"),
        (lambda: Judge(question=BOOLEAN, repeats=26), "must be 1 to 25"),
    ],
)
def test_what_cannot_be_asked_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(JudgeQuestionError, match=message):
        make()
