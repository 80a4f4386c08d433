"""Vectors of texts kept in the response cache, one entry for each text.

The key covers the project, the model's identity, the wanted dimensions and the text. What is stored are the numbers
themselves, as little-endian float32.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from uuid import UUID

import numpy as np
import orjson
from numpy.typing import NDArray

from assay.gateway.cache import ResponseCache

Vector = NDArray[np.float32]
"""Shape (dimensions,)."""


def vector_key(identity: str, text: str, *, project_id: UUID | None, dimensions: int | None = None) -> bytes:
    """SHA-256 of what decides a vector.

    Args:
        identity: ``ResolvedModel.identity`` of the model that embeds.
        text: What is embedded.
        project_id: Whose entry it is; projects never see each other's.
        dimensions: As asked for.
    """
    project = None if project_id is None else project_id.hex
    facts = orjson.dumps(("embed", project, identity, dimensions))
    return hashlib.sha256(facts + text.encode("utf-8", "surrogatepass")).digest()


async def recall_vectors(cache: ResponseCache, keys: Sequence[bytes]) -> list[Vector | None]:
    """The stored vector of each key."""
    found = await cache.get_bytes(list(dict.fromkeys(keys)))
    return [None if (stored := found.get(key)) is None else np.frombuffer(stored, dtype="<f4") for key in keys]


async def remember_vectors(cache: ResponseCache, pairs: Sequence[tuple[bytes, Vector]]) -> None:
    """Store vectors. A key that is there already keeps its vector."""
    await cache.put_bytes({key: vector.astype("<f4").tobytes() for key, vector in pairs})
