"""The way from ``ctx`` in user code to the caller's models: a budget, bounds, and messages without secrets."""

from __future__ import annotations

import json
from typing import Any

from pydantic_monty import ExternalExceptionData, ExternalReturnValue

from assay.kit.errors import DomainError
from assay.sandbox.contract import FailureKind, HostFunctionError, ModelAccess
from assay.sandbox.driver import NO_MODEL_ACCESS

MAX_REQUEST_CHARACTERS = 4 * 1024 * 1024


class ModelBridge:
    """Answers the model calls of one execution, and remembers what it refused."""

    def __init__(self, access: ModelAccess) -> None:
        self._access = access
        self._calls = 0
        self._refusals: dict[str, FailureKind] = {}

    async def answer(self, arguments: tuple[Any, ...]) -> ExternalReturnValue | ExternalExceptionData:
        """The value for the driver's ``host(function, request)``, as JSON text, or the exception to raise there."""
        function, request = arguments
        self._calls += 1
        if self._calls > self._access.max_calls:
            return self._refuse(
                FailureKind.MODEL_BUDGET,
                f"more than max_model_calls = {self._access.max_calls} model calls in one execution",
            )
        if len(request) > MAX_REQUEST_CHARACTERS:
            message = (
                f"the request of ctx.{function} has {len(request)} characters; the limit is {MAX_REQUEST_CHARACTERS}"
            )
            return self._refuse(FailureKind.MODEL_CALL, message)
        try:
            return {"return_value": await self._call(function, json.loads(request))}
        except HostFunctionError as exc:
            return self._refuse(FailureKind.MODEL_CALL, f"ctx.{function} failed: {exc.message}"[:2000])
        except DomainError as exc:
            return self._refuse(FailureKind.MODEL_CALL, f"ctx.{function} failed: {exc.code}")
        except Exception as exc:  # the text of an unforeseen error may hold a key or an address: its type must do
            return self._refuse(FailureKind.MODEL_CALL, f"ctx.{function} failed: {type(exc).__name__}")

    async def _call(self, function: str, request: dict[str, Any]) -> str:
        host = self._access.host
        method = host.responses_create if function == "responses_create" else host.embeddings_create
        return json.dumps(await method(**request))

    def _refuse(self, kind: FailureKind, message: str) -> ExternalExceptionData:
        self._refusals[message] = kind
        return {"exc_type": "RuntimeError", "message": message}

    def kind_of(self, message: str) -> FailureKind | None:
        """The kind of a refusal that user code let through."""
        return self._refusals.get(message)


def kind_of_refusal(message: str, bridge: ModelBridge | None) -> FailureKind | None:
    """The kind of an escaped ``RuntimeError``, when it was ours."""
    if message == NO_MODEL_ACCESS:
        return FailureKind.MODEL_ACCESS
    return None if bridge is None else bridge.kind_of(message)
