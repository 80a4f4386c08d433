"""User Python, run where it can do no harm.

    contract.py   what a sandbox promises; limits, outcomes, errors
    program.py    reading source without running it: entry point, arity, isolation
    monty.py      `MontySandbox`: two lanes for cases, on worker processes
    execution.py  one execution in one worker, and how it ended
    driver.py     the trusted half inside the worker
    models.py     model calls of user code, within a budget
    results.py    return values to scores and rows
    failures.py   interpreter errors to messages for the author of the code

A grader or preprocessor that fails is a result (`CodeFailure`); a sandbox that fails is an exception.
"""

from assay.sandbox.contract import (
    BatchGraded,
    BatchGradeOutcome,
    Case,
    CodeFailure,
    EntryPoint,
    FailureKind,
    Graded,
    GradeOutcome,
    HostFunctionError,
    HostFunctions,
    Isolation,
    Limits,
    ModelAccess,
    Program,
    Returned,
    Sandbox,
    SandboxCodeError,
    SandboxInputError,
    SandboxUnavailableError,
    Transformed,
    TransformedBatch,
)
from assay.sandbox.monty import MontySandbox
from assay.sandbox.program import check_program, is_module

__all__ = [
    "BatchGradeOutcome",
    "BatchGraded",
    "Case",
    "CodeFailure",
    "EntryPoint",
    "FailureKind",
    "GradeOutcome",
    "Graded",
    "HostFunctionError",
    "HostFunctions",
    "Isolation",
    "Limits",
    "ModelAccess",
    "MontySandbox",
    "Program",
    "Returned",
    "Sandbox",
    "SandboxCodeError",
    "SandboxInputError",
    "SandboxUnavailableError",
    "Transformed",
    "TransformedBatch",
    "check_program",
    "is_module",
]
