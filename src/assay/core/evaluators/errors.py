"""What can go wrong with evaluators and provider keys.

InvalidError
├── DefinitionError        a part of an evaluator is wrong; ``param`` names it in the core's words
│   ├── SourceError        the program does not compile; ``data`` has line and column
│   └── OutputChangeError  an evaluator cannot turn into one with other verdicts
├── JudgeKeyError          no usable key for a judge's model; ``reason`` says why
├── KeyFieldError          a part of a provider key is wrong
└── KeyRefusedError        the provider does not take the key; nothing was stored
NotFoundError
├── EvaluatorNotFoundError
└── ProviderKeyNotFoundError
ConflictError
└── KeyNotHealthyError     a key that does not work cannot be the active one
UnavailableError
└── KeyStorageError        there is no key to encrypt secrets with
"""

from __future__ import annotations

from uuid import UUID

from assay.core.evaluators.types import KeyState, StatusReason
from assay.kit.errors import ConflictError, InvalidError, NotFoundError, UnavailableError
from assay.sandbox.hog import HogCompileError


class DefinitionError(InvalidError):
    """A part of an evaluator is wrong.

    Args:
        param: ``kind``, ``config``, ``output_config``, ``output_kind``, ``target``, ``target_config``, ``model`` or a
            part of one (``model.provider_key_id``); ``pair`` where type and output do not fit together.
        message: What is wrong and what to do.
    """

    code = "invalid_evaluator"

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message, param=param)


class SourceError(DefinitionError):
    """The program of a Hog evaluator does not compile."""

    code = "evaluator_source"

    def __init__(self, error: HogCompileError) -> None:
        super().__init__("config.source", f"Compilation error: {error.message}")
        self.data.update(error.data)


class OutputChangeError(DefinitionError):
    """Numbers and categories stay what they are: verdicts of two kinds have no common scale."""

    code = "evaluator_output_fixed"

    def __init__(self, before: str, after: str) -> None:
        super().__init__(
            "output_kind", f"The output cannot change from `{before}` to `{after}`. Make another evaluation."
        )


class JudgeKeyError(InvalidError):
    """A judge's model cannot be called.

    Args:
        reason: In the words of an evaluator that switched itself off.
        message: What to do.
    """

    code = "judge_key"

    def __init__(self, reason: StatusReason, message: str) -> None:
        super().__init__(message, param="enabled", data={"reason": reason.value})
        self.reason = reason


class KeyFieldError(InvalidError):
    """A part of a provider key is missing or wrong."""

    code = "invalid_provider_key"

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message, param=param)


class KeyRefusedError(InvalidError):
    """The provider does not take the key, or could not be asked."""

    code = "provider_key_refused"

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message, param=param)


class EvaluatorNotFoundError(NotFoundError):
    """The caller has no such evaluator."""

    code = "evaluator_not_found"

    def __init__(self, evaluator_id: UUID | str) -> None:
        super().__init__(
            f"Evaluation {str(evaluator_id)[:64]} not found. List the project's evaluations for their ids."
        )


class ProviderKeyNotFoundError(NotFoundError):
    """The caller has no such key."""

    code = "provider_key_not_found"

    def __init__(self, key_id: UUID | str) -> None:
        super().__init__(f"Provider key {str(key_id)[:64]} not found.")


class KeyNotHealthyError(ConflictError):
    """A key that does not work cannot be the active one."""

    code = "provider_key_not_ok"

    def __init__(self, state: KeyState) -> None:
        super().__init__(
            f"The key's state is `{state.value}`; only one in state `ok` can be active. Validate it first.",
            data={"state": state.value},
        )


class KeyStorageError(UnavailableError):
    """There is no key to encrypt secrets with."""

    code = "secret_key_missing"

    def __init__(self) -> None:
        super().__init__("Provider keys cannot be stored: this server has no key for them. Set ASSAY_SECRET_KEY.")
