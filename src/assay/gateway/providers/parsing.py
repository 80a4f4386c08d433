"""Reading replies field by field, with one error for every surprise."""

from __future__ import annotations

import base64
import binascii
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from assay.gateway.errors import MalformedReplyError
from assay.gateway.providers.base import RawEmbeddings
from assay.gateway.types import Usage

THINK_OPEN = "<think>"
THINK_CLOSE = "</think>"


def count(value: Any) -> int | None:
    """A token count, or None for anything that is not one."""
    return value if type(value) is int and value >= 0 else None


def text_or_none(value: Any) -> str | None:
    """A text, or None for anything that is not one."""
    return value if isinstance(value, str) else None


def malformed(provider: str, problem: object) -> MalformedReplyError:
    """The error for JSON that is not the promised reply."""
    return MalformedReplyError(f"{provider}: the answer has an unexpected form: {problem!r:.200}", status=200)


def split_thinking(text: str, *, open_at_start: bool) -> tuple[str, str | None]:
    """Part a reply into output and reasoning.

    Servers without a reasoning parser leave ``<think>…</think>`` at the start of the output; graders must not see it.

    Args:
        text: The reply.
        open_at_start: The thinking was begun by the prompt, so the reply starts inside it.
    """
    stripped = text.lstrip()
    if stripped.startswith(THINK_OPEN):
        stripped = stripped[len(THINK_OPEN) :]
    elif not open_at_start:
        return text, None
    thought, closed, output = stripped.partition(THINK_CLOSE)
    if not closed:
        # Cut off while thinking: there is no output yet.
        return "", thought.strip() or None
    return output.lstrip(), thought.strip() or None


def openai_usage(usage: Any) -> Usage:
    """Usage of chat completions (``prompt_…``), responses, embeddings and transcriptions (``input_…``)."""
    if not isinstance(usage, dict):
        return Usage()
    get = cast("dict[str, Any]", usage).get
    details_in = get("prompt_tokens_details") or get("input_tokens_details")
    details_out = get("completion_tokens_details") or get("output_tokens_details")
    return Usage(
        count(get("prompt_tokens", get("input_tokens"))),
        count(get("completion_tokens", get("output_tokens"))),
        count(cast("dict[str, Any]", details_in).get("cached_tokens")) if isinstance(details_in, dict) else None,
        count(cast("dict[str, Any]", details_out).get("reasoning_tokens")) if isinstance(details_out, dict) else None,
    )


def parse_embeddings(provider: str, body: Any, expected: int) -> RawEmbeddings:
    """Vectors in the order of the texts.

    Raises:
        MalformedReplyError: Rows are missing, or differ in length, or are not finite.
    """
    try:
        rows = sorted(body["data"], key=lambda row: row.get("index", 0))
        vectors = np.stack([_vector(row["embedding"]) for row in rows])
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as exc:
        raise malformed(provider, exc) from exc
    if vectors.ndim != 2 or vectors.shape[0] != expected or not np.isfinite(vectors).all():
        raise malformed(provider, f"embeddings of shape {vectors.shape} for {expected} texts")
    usage = openai_usage(body.get("usage"))
    # An embedding has no output; saying 0 lets it be priced.
    return RawEmbeddings(vectors, Usage(input_tokens=usage.input_tokens, output_tokens=0))


def _vector(value: Any) -> NDArray[np.float32]:
    if isinstance(value, str):
        return np.frombuffer(base64.b64decode(value, validate=True), dtype="<f4").astype(np.float32)
    return np.asarray(value, dtype=np.float32)
