import time
from collections.abc import Iterator
from contextlib import suppress
from types import ModuleType

import pytest

from assay.scoring.errors import MathComparisonError, MathTimeoutError
from assay.scoring.mathematics import LONGEST_ANSWER, LONGEST_TARGET, MathProcess, MathReader
from assay.scoring.mathworker import Verdict, as_latex, let_failures_through
from assay.scoring.scorers import MathScorer, scorer_for
from assay.scoring.scores import AnswerFault, Scored, ScoredOutput, Unscored, UnscoredReason


def score(answer: str, target: str) -> Scored | Unscored:
    return scorer_for("math").score(ScoredOutput(answer, answer, target))


@pytest.mark.parametrize(
    ("answer", "target", "expected"),
    [
        # Fractions and decimals.
        (r"\frac{1}{2}", "1/2", 1),
        (r"\frac12", "0.5", 1),
        ("0.5", r"\frac{1}{2}", 1),
        (r"$\dfrac{2}{4}$", "1/2", 1),
        ("0.333333", "1/3", 1),
        ("0.3", "1/3", 0),
        ("1,234", "1234", 1),
        ("-3", "3", 0),
        ("4", "3", 0),
        # Boxed, and with words around.
        (r"So it is \boxed{\frac{3}{4}}.", "0.75", 1),
        (r"First $x=2$, thus \boxed{3}, as $7$ is too much.", "3", 1),
        (r"First $\boxed{7}$. Wait. No: $\boxed{3}$", "3", 1),
        (r"They are \boxed{7} and \boxed{3}", r"\{3, 7\}", 1),
        (r"They are \boxed{7} and \boxed{3}", "3", 0),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}", 1),
        (r"\begin{pmatrix}1\\3\end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}", 0),
        ("The answer is 42.", "42", 1),
        ("The answer is 42.", "43", 0),
        (r"The answer is $\sqrt{8}$.", r"2\sqrt{2}", 1),
        # Expressions.
        ("1 + x^2", "x^2+1", 1),
        ("(x+1)^2", "x^2 + 2x + 1", 1),
        ("x^2+2", "x^2+1", 0),
        ("sqrt(2)", r"\sqrt{2}", 1),
        ("pi/2", r"\frac{\pi}{2}", 1),
        ("x = 3", "3", 1),
        # Sets, tuples and intervals.
        (r"\{2, 1\}", r"\{1, 2\}", 1),
        (r"\{1, 2, 3\}", r"\{1, 2\}", 0),
        ("(1, 2]", "(1,2]", 1),
        ("[1, 2]", "(1, 2]", 0),
        ("(2, 1)", "(1, 2)", 0),
        (r"(-\infty, 2)", r"(-\infty,2)", 1),
        # Percent and units.
        ("50%", r"50\%", 1),
        (r"50\%", "0.5", 1),
        ("5 cm", "5", 1),
        (r"5 \text{ cm}", "5", 1),
        ("6 cm", "5", 0),
        # Words, when the target is marked as such.
        (r"\text{no solution}", r"\text{no solution}", 1),
        # Large, but no larger than a computer can write.
        ("2^{100}", "1267650600228229401496703205376", 1),
        ("2^{100}", "1267650600228229401496703205377", 0),
    ],
)  # fmt: skip
def test_math(answer: str, target: str, expected: float) -> None:
    assert score(answer, target) == Scored({"exact_match": expected})


@pytest.mark.parametrize("answer", ["", " \n", "I do not know", "???", r"\frac{", "$$", "no idea, sorry", "\x00"])
def test_an_answer_without_an_expression_is_wrong_and_says_so(answer: str) -> None:
    assert score(answer, "1/2") == Scored({"exact_match": 0.0}, AnswerFault.NOT_AN_EXPRESSION)


@pytest.mark.parametrize("target", ["many", "???", "1" * (LONGEST_TARGET + 1)])
@pytest.mark.parametrize("answer", ["1", ""])
def test_a_target_that_is_no_expression_is_the_data_s_fault(answer: str, target: str) -> None:
    result = score(answer, target)
    assert isinstance(result, Unscored)
    assert result.reason is UnscoredReason.INVALID_TARGET


def test_the_end_of_a_long_answer_counts() -> None:
    assert score("word " * LONGEST_ANSWER + r"\boxed{3}", "3") == Scored({"exact_match": 1.0})


@pytest.fixture
def process() -> Iterator[MathProcess]:
    process = MathProcess(seconds=3)
    process.compare("1", "1")
    yield process
    process.close()


@pytest.mark.parametrize("answer", ["9^{9^{9^9}}", "$9^{9^{9^{9}}}$"])
def test_a_comparison_without_end_is_ended_and_is_no_score(process: MathProcess, answer: str) -> None:
    scorer = MathScorer(MathReader(process))
    started = time.monotonic()
    with pytest.raises(MathTimeoutError, match="longer than 3 s"):
        scorer.score(ScoredOutput(answer, answer, "5"))
    assert time.monotonic() - started < 20
    # The next one has a fresh process.
    assert process.compare("1/2", "0.5") is Verdict.EQUAL


def test_bare_towers_of_powers_do_not_hang(process: MathProcess) -> None:
    started = time.monotonic()
    with suppress(MathTimeoutError, MathComparisonError):
        assert process.compare("5", "9^9^9^9") is not Verdict.EQUAL
    assert time.monotonic() - started < 20


def test_a_process_that_ended_is_a_failure_and_not_a_score(process: MathProcess) -> None:
    running = process._process  # pyright: ignore[reportPrivateUsage]
    assert running is not None
    running.kill()
    running.wait()
    with pytest.raises(MathComparisonError, match="ended"):
        process.compare("1", "1")
    assert process.compare("1", "1") is Verdict.EQUAL


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("(1, 2]", "$(1, 2]$"),
        ("sqrt(2)", r"$\sqrt{2}$"),
        (r"\text{no solution}", r"$\text{no solution}$"),
        ("It is 5", "It is 5"),
        ("$5$", "$5$"),
        (r"\boxed{5}", r"\boxed{5}"),
        ("", ""),
    ],
)
def test_bare_expressions_are_set_between_dollars(text: str, latex: str) -> None:
    assert as_latex(text) == latex


def deep(levels: int) -> str:
    r"""``\sqrt{1+\sqrt{1+…}}``: longer to read than Python's stack is high."""
    text = "1"
    for _ in range(levels):
        text = rf"\sqrt{{1+{text}}}"
    return f"${text}$"


def test_what_the_library_keeps_to_itself_is_a_failure_and_not_a_score() -> None:
    patient = MathProcess(seconds=50)
    try:
        with pytest.raises(MathComparisonError, match="RecursionError"):
            MathScorer(MathReader(patient)).score(ScoredOutput("", deep(60), "2"))
    finally:
        patient.close()


def test_which_errors_pass_through() -> None:
    module = ModuleType("library")
    exec("def run(error):\n    try:\n        raise error\n    except Exception:\n        return False", module.__dict__)
    assert module.run(MemoryError()) is False
    let_failures_through(module)
    for kept in (ValueError(), OverflowError(), ZeroDivisionError(), TypeError()):
        assert module.run(kept) is False
    for passed in (MemoryError(), RecursionError()):
        with pytest.raises(type(passed)):
            module.run(passed)
