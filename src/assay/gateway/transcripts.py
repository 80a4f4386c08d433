"""Transcripts kept in the response cache, by the digest of the recording and of what was asked about it."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from uuid import UUID

import orjson

from assay.gateway.providers.base import Recording
from assay.gateway.types import TranscriptionReply, Usage


def transcript_key(identity: str, recording: Recording, *, project_id: UUID | None, repeat: int = 0) -> bytes:
    """SHA-256 of what decides a transcript.

    Args:
        identity: ``ResolvedModel.identity`` of the model that listens.
        recording: What it listens to.
        project_id: Whose entry it is; projects never see each other's.
        repeat: Number of this repetition of the same request; repetitions are cached apart.
    """
    project = None if project_id is None else project_id.hex
    audio = hashlib.sha256(recording.audio).hexdigest()
    asked = (recording.language, recording.prompt, recording.temperature)
    facts = ("transcribe", project, identity, audio, *asked, repeat)
    return hashlib.sha256(orjson.dumps(facts)).digest()


def dump_transcript(reply: TranscriptionReply) -> bytes:
    """A reply as it is stored; without its attempts."""
    usage = reply.usage
    return orjson.dumps(
        {
            "t": reply.text,
            "l": reply.language,
            "d": reply.duration_seconds,
            "u": [usage.input_tokens, usage.output_tokens],
            "c": None if reply.cost_usd is None else str(reply.cost_usd),
        }
    )


def load_transcript(stored: bytes, *, model: str, provider: str) -> TranscriptionReply:
    """The stored reply; its cost is what it cost when it was made."""
    fields = orjson.loads(stored)
    cost = None if fields["c"] is None else Decimal(fields["c"])
    return TranscriptionReply(fields["t"], model, provider, fields["l"], fields["d"], Usage(*fields["u"]), cost)
