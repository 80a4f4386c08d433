"""Asking models what is said in a clip.

The clip stands in the row as a ``data:`` URI, as an object with ``bytes`` in base64, or as a web address. An address is
a user's, so it is fetched by the guarded client: HTTPS to public hosts, 25 MiB, a minute, three redirects, each of
which is checked like the first address.
"""

from __future__ import annotations

import base64
import binascii
import mimetypes
from pathlib import PurePosixPath
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

from assay.core.runs.answer import Answer, describe_failure, describe_timing
from assay.core.runs.audio import MAX_CLIP_BYTES, find_clip
from assay.core.runs.errors import ClipTooLargeError, ClipUnreadableError
from assay.core.runs.ledger import WorkItem
from assay.core.runs.plan import RunPlan
from assay.core.runs.writable import repair_text
from assay.gateway.errors import ProviderError
from assay.gateway.gateway import Gateway
from assay.gateway.providers.base import Recording
from assay.gateway.tokens import count_tokens
from assay.gateway.types import TranscriptionReply
from assay.kit.errors import DomainError
from assay.outbound.client import GuardedClient, OutboundLimits

MAX_REDIRECTS = 3
FETCH = OutboundLimits(timeout_seconds=60, max_response_bytes=MAX_CLIP_BYTES)
DEFAULT_SUFFIX = ".wav"
MAX_OUTPUT_CHARACTERS = 4 * 1024 * 1024


class Transcriber:
    """Asks the run's models through the gateway."""

    def __init__(self, gateway: Gateway, plan: RunPlan, outbound: GuardedClient) -> None:
        self._gateway = gateway
        self._plan = plan
        self._outbound = outbound

    async def ask(self, item: WorkItem) -> Answer:
        """What is said in an item's clip. A failure is an answer too; it never raises for one."""
        generation = self._plan.generation
        try:
            recording = await self._recording(item)
            reply = await self._gateway.transcribe(
                self._plan.models[item.model_no],
                recording,
                timeout_seconds=generation.timeout_seconds,
                max_retries=generation.max_retries,
                project_id=self._plan.project_id,
                use_cache=generation.use_cache,
                repeat=item.repeat_no,
            )
        except ProviderError as error:
            return Answer(None, describe_failure(error, error.attempts))
        except DomainError as error:
            return Answer(None, describe_failure(error, ()))
        return _answer(item, reply)

    async def _recording(self, item: WorkItem) -> Recording:
        task = self._plan.tasks[item.task_no]
        audio, suffix = await self._read(item, task.dataset.audio_column)
        return Recording(
            audio=audio,
            filename=f"clip{suffix}",
            language=task.language,
            prompt=item.prompt or None,
            temperature=self._plan.generation.temperature,
        )

    async def _read(self, item: WorkItem, column: str | None) -> tuple[bytes, str]:
        """A clip's bytes and the suffix that tells its format.

        Raises:
            ClipUnreadableError, ClipTooLargeError, OutboundError: There is no clip that could be sent.
        """
        clip = find_clip(item.dataset_row, column)
        if clip is None:
            raise ClipUnreadableError(
                f"The row's column '{column}' holds no audio: want a data: URI, an address, or bytes."
            )
        if clip.startswith("data:"):
            return _decode(clip)
        return await self._fetch(clip)

    async def _fetch(self, address: str) -> tuple[bytes, str]:
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._outbound.request("GET", address, limits=FETCH)
            location = next((value for name, value in response.headers.items() if name.lower() == "location"), None)
            if response.status in {301, 302, 303, 307, 308} and location is not None:
                address = urljoin(address, location)
                continue
            if response.status != 200:
                raise ClipUnreadableError(f"The clip's address answered with HTTP {response.status}.")
            if not response.complete:
                raise ClipTooLargeError(len(response.body) + 1, MAX_CLIP_BYTES)
            return response.body, _suffix_of(address, response.headers.get("Content-Type", ""))
        raise ClipUnreadableError(f"The clip's address redirects more than {MAX_REDIRECTS} times.")


def _decode(clip: str) -> tuple[bytes, str]:
    head, _, body = clip.removeprefix("data:").partition(",")
    try:
        audio = base64.b64decode(unquote_to_bytes(body), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ClipUnreadableError(f"The clip's data: URI is not base64: {error}.") from error
    if len(audio) > MAX_CLIP_BYTES:
        raise ClipTooLargeError(len(audio), MAX_CLIP_BYTES)
    return audio, _suffix(head.partition(";")[0])


def _suffix_of(address: str, media_type: str) -> str:
    """By the address where it tells, else by what the server says."""
    suffix = PurePosixPath(urlsplit(address).path).suffix.lower()
    guessed = mimetypes.types_map.get(suffix, "")
    return suffix if guessed.startswith(("audio/", "video/")) else _suffix(media_type.partition(";")[0].strip())


def _suffix(media_type: str) -> str:
    return _SUFFIXES.get(media_type) or mimetypes.guess_extension(media_type) or DEFAULT_SUFFIX


_SUFFIXES = {"audio/mpeg": ".mp3", "audio/mp4": ".m4a", "audio/ogg": ".ogg", "audio/wav": ".wav", "audio/x-wav": ".wav"}


def _answer(item: WorkItem, reply: TranscriptionReply) -> Answer:
    text = repair_text(reply.text)[:MAX_OUTPUT_CHARACTERS]
    usage = reply.usage
    values = {
        "output_text": text,
        "cost_usd": None if reply.cost_usd is None else str(reply.cost_usd),
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        **describe_timing(reply.attempts),
    }
    if usage.input_tokens is None and usage.output_tokens is None:
        values["output_tokens"], values["tokens_estimated"] = count_tokens(text), True
    return Answer(text, values)
