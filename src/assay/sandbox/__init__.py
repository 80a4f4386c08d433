"""User Python, run where it can do no harm.

    core ──> Sandbox (contract.py) <── MontySandbox (monty.py)
                 │                          │
              Program (program.py)       one execution (session.py), driver inside the worker (driver.py)
              Outcome (contract.py)      return values (results.py), model access (models.py)

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
    Sandbox,
    SandboxCodeError,
    SandboxInputError,
    SandboxUnavailableError,
    Transformed,
    TransformedBatch,
)
from assay.sandbox.monty import MontySandbox
from assay.sandbox.program import check_program

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
    "Sandbox",
    "SandboxCodeError",
    "SandboxInputError",
    "SandboxUnavailableError",
    "Transformed",
    "TransformedBatch",
    "check_program",
]
