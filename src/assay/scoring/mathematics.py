"""math: does the answer mean the same as the target?

The texts are read and compared by computer algebra (the library ``math-verify``) in a process of its own, which is
ended when it takes too long: some short texts, such as ``9^{9^{9^9}}``, keep it busy for longer than anyone waits.
A comparison that does not end, or ends with an error, raises: the sample has failed, and is neither right nor wrong.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from assay.kit import json
from assay.scoring.errors import MathComparisonError, MathTimeoutError
from assay.scoring.mathworker import Verdict

COMPARE_SECONDS: Final = 5.0
LONGEST_TARGET: Final = 2_000
LONGEST_ANSWER: Final = 10_000
"""Of a longer answer only its end is read: that is where the result stands."""
_START_SECONDS: Final = 60.0
_COMMAND: Final = (sys.executable, "-I", "-m", "assay.scoring.mathworker")


class MathProcess:
    """The process that compares. It starts with the first comparison, and anew after one that had to be ended.

    Safe to call from several threads; comparisons run one after the other.
    """

    def __init__(self, *, seconds: float = COMPARE_SECONDS) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def compare(self, target: str, answer: str) -> Verdict:
        """Compare two texts.

        Raises:
            MathTimeoutError: It took too long.
            MathComparisonError: The library failed on these texts, or its process ended or does not start.
        """
        with self._lock:
            process = self._process or self._start()
            reply = self._ask(process, {"target": target, "answer": answer})
        verdict = Verdict(reply["verdict"])
        if verdict is Verdict.ERROR:
            raise MathComparisonError(
                f"The answer and the target could not be compared: computer algebra failed with {reply['error']}. "
                "The sample has no score; give the task a grader if such answers are frequent."
            )
        return verdict

    def close(self) -> None:
        """End the process; a later comparison starts another."""
        with self._lock:
            self._end()

    def _start(self) -> subprocess.Popen[str]:
        kept = {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}
        pipe = subprocess.PIPE
        try:
            self._process = process = subprocess.Popen(
                _COMMAND, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=kept, encoding="utf-8"
            )
        except OSError as exc:
            raise MathComparisonError(f"The process that compares math answers does not start: {exc}.") from exc
        self._read(process, _START_SECONDS)
        return process

    def _ask(self, process: subprocess.Popen[str], request: dict[str, str]) -> dict[str, Any]:
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
        except OSError:
            self._end()
            raise _ended() from None
        return self._read(process, self._seconds)

    def _read(self, process: subprocess.Popen[str], seconds: float) -> dict[str, Any]:
        assert process.stdout is not None
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            line = process.stdout.readline()
        finally:
            timer.cancel()
        if line and not late.is_set():
            return json.loads(line)
        self._end()
        if late.is_set():
            raise MathTimeoutError(
                f"Comparing the answer with the target took longer than {seconds:g} s and was ended. The sample has no "
                "score; give the task a grader if such answers are frequent."
            )
        raise _ended()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


def _ended() -> MathComparisonError:
    return MathComparisonError(
        "The process that compares math answers ended, perhaps for lack of memory. The sample has no score; run it "
        "again, or give the task a grader."
    )


_SHARED: Final = MathProcess()
atexit.register(_SHARED.close)


@dataclass(frozen=True, slots=True)
class MathReader:
    """Prepares texts for the comparison and bounds them."""

    process: MathProcess = _SHARED

    def compare(self, target: str, answer: str) -> Verdict:
        """See :meth:`MathProcess.compare`; a text with nothing in it needs no process."""
        if len(target) > LONGEST_TARGET:
            return Verdict.NO_TARGET_EXPRESSION
        if not answer.strip():
            # Only the target is left to judge: it must be an expression whatever the answer.
            verdict = self.process.compare(target, "0")
            return verdict if verdict is Verdict.NO_TARGET_EXPRESSION else Verdict.NO_ANSWER_EXPRESSION
        return self.process.compare(target, answer[-LONGEST_ANSWER:])
