"""The process that reads and compares mathematical answers: ``python -m assay.scoring.mathworker``.

It answers each line of JSON, ``{"target", "answer"}``, with one line, ``{"verdict"}``. Computer algebra can take any
time and memory on a short text, so the process limits its own memory, and ends itself when one comparison outlives its
parent's patience; the parent ends it too, see :mod:`assay.scoring.mathematics`.
"""

from __future__ import annotations

import logging
import re
import sys
from enum import StrEnum
from importlib import import_module
from typing import Any, Final, TextIO

from assay.kit import json

_MEMORY_BYTES: Final = 2 * 1024**3
_LAST_RESORT_SECONDS: Final = 30
_DELIMITED: Final = re.compile(r"\$|\\boxed|\\fbox|\\\(|\\\[")
_WORD: Final = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_COMMAND_TEXT: Final = re.compile(
    r"\\(?:text|textbf|textrm|mathrm|mathbf|operatorname)\s*\{[^{}]*\}|\\(?:begin|end)\s*\{[a-z]*matrix\}"
)
_PLAIN_NAMES: Final = {"sqrt": r"\sqrt", "pi": r"\pi", "infty": r"\infty", "inf": r"\infty"} | {
    name: "\\" + name for name in ("sin", "cos", "tan", "log", "ln", "exp")
}
_CALL_OF_ROOT: Final = re.compile(r"(?<!\\)\bsqrt\s*\(([^()]*)\)")


class Verdict(StrEnum):
    """What a comparison comes to."""

    EQUAL = "equal"
    DIFFERENT = "different"
    NO_TARGET_EXPRESSION = "no_target_expression"
    NO_ANSWER_EXPRESSION = "no_answer_expression"
    ERROR = "error"


def let_failures_through(*modules: Any) -> None:
    """Make the library's ``except Exception`` let errors pass that are not the texts' fault.

    It catches every error and then says "different", or "no expression", which would be a score of 0 for want of memory
    or stack. What stands behind ``except`` is looked up by name, in the module first; so there the name comes to mean
    all exceptions but these two. A bare ``RuntimeError``, of which ``RecursionError`` is a kind, passes as well, and so
    does a bare ``Exception``, see :meth:`Comparer.compare`.
    """
    kinds = [kind for kind in Exception.__subclasses__() if kind not in (MemoryError, RuntimeError)]
    kinds += [kind for kind in RuntimeError.__subclasses__() if kind is not RecursionError]
    for module in modules:
        module.Exception = tuple(kinds)


class Comparer:
    """Compares texts by ``math-verify``."""

    def __init__(self) -> None:
        # Neither types nor a short import time: so it is loaded here, in the process of its own, and nowhere else.
        self._library: Any = import_module("math_verify")
        self._what = [
            self._library.LatexExtractionConfig(boxed_match_priority=0),
            self._library.ExprExtractionConfig(),
        ]
        self._modules = [import_module(f"math_verify.{name}") for name in ("grader", "parser")]

    def compare(self, target: str, answer: str) -> Verdict:
        """Whether two texts mean the same; errors of the library are raised, and those that it keeps to itself too."""
        # Anew each time, because the library loads parts of computer algebra, with exceptions of their own, on demand.
        let_failures_through(*self._modules)
        try:
            return self._compare(target, answer)
        except Exception as exc:
            if type(exc) is not Exception:
                raise
        # The parser's word for a text that is no expression: no ``except`` can name it and spare its subclasses.
        for module in self._modules:
            vars(module).pop("Exception")
        return self._compare(target, answer)

    def _compare(self, target: str, answer: str) -> Verdict:
        expected = self._read(target)
        if not expected:
            return Verdict.NO_TARGET_EXPRESSION
        given = self._read(answer)
        if not given:
            return Verdict.NO_ANSWER_EXPRESSION
        # The library's own time limits are signals, which do not end a long operation on large numbers.
        same = self._library.verify(expected, given, timeout_seconds=None, raise_on_error=True)
        return Verdict.EQUAL if same else Verdict.DIFFERENT

    def _read(self, text: str) -> list[Any]:
        return self._library.parse(
            as_latex(text), self._what, fallback_mode="no_fallback", parsing_timeout=None, raise_on_error=True
        )


def as_latex(text: str) -> str:
    r"""Set a bare expression, such as ``(1, 2]`` or ``\frac12``, between dollars; prose and what has them stays."""
    bare = text.strip().removesuffix(".")
    if not bare or _DELIMITED.search(bare) or "\n" in bare:
        return text
    bare = _CALL_OF_ROOT.sub(r"\\sqrt{\1}", bare)
    words = _WORD.findall(_COMMAND_TEXT.sub("", bare))
    if any(word not in _PLAIN_NAMES for word in words):
        return text
    return "$" + _WORD.sub(lambda match: _PLAIN_NAMES.get(match[0], match[0]), bare) + "$"


def main() -> None:
    """Answer until the input ends."""
    replies, sys.stdout = sys.stdout, sys.stderr
    logging.disable(logging.CRITICAL)
    comparer = Comparer()
    _limit_memory()
    _reply(replies, {"ready": True})
    for line in sys.stdin:
        request = json.loads(line)
        _set_alarm(_LAST_RESORT_SECONDS)
        _reply(replies, _answer(comparer, request["target"], request["answer"]))
        _set_alarm(0)


def _answer(comparer: Comparer, target: str, answer: str) -> dict[str, str]:
    try:
        return {"verdict": comparer.compare(target, answer)}
    except Exception as exc:
        return {"verdict": Verdict.ERROR, "error": type(exc).__name__}


def _reply(replies: TextIO, value: dict[str, Any]) -> None:
    replies.write(json.dumps(value) + "\n")
    replies.flush()


def _limit_memory() -> None:
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))


def _set_alarm(seconds: int) -> None:
    if sys.platform != "win32":
        import signal

        # Nothing handles the signal, so it ends the process, even in the middle of an operation.
        signal.alarm(seconds)


if __name__ == "__main__":
    main()
