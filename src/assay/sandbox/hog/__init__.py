"""The Hog language, for evaluations (contract §5).

    lexer.py cursor.py expressions.py parser.py syntax.py   source to tree
    scopes.py compiler.py code.py                           tree to instructions
    machine.py running.py                                   instructions to an outcome
    budget.py limits.py                                     what a run may use up
    values.py access.py compare.py operators.py             values and what operators do with them
    text.py patterns.py dates.py library/                   the rest of the language
    verdict.py                                              outcome to verdict
    pool.py worker.py wire.py                               `HogSandbox`: many runs, in other processes

Compiling and running are plain functions without input or output; `HogSandbox` is for the server.
"""

from assay.sandbox.hog.code import Program
from assay.sandbox.hog.compiler import compile_expression, compile_program
from assay.sandbox.hog.errors import HogCompileError, HogFailureKind, HogRuntimeError
from assay.sandbox.hog.limits import DEFAULT_LIMITS, HogLimits
from assay.sandbox.hog.pool import HogSandbox
from assay.sandbox.hog.running import Outcome, run_program
from assay.sandbox.hog.verdict import OutputRule, OutputType, Verdict, judge

__all__ = [
    "DEFAULT_LIMITS",
    "HogCompileError",
    "HogFailureKind",
    "HogLimits",
    "HogRuntimeError",
    "HogSandbox",
    "Outcome",
    "OutputRule",
    "OutputType",
    "Program",
    "Verdict",
    "compile_expression",
    "compile_program",
    "judge",
    "run_program",
]
