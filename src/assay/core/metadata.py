"""Metadata that users hang on objects: a small map of strings (M§7 R41)."""

from __future__ import annotations

from collections.abc import Mapping

from assay.kit.errors import InvalidError

MAX_PAIRS = 16
MAX_KEY_LENGTH = 64
MAX_VALUE_LENGTH = 512


class MetadataError(InvalidError):
    """A metadata map is out of its bounds."""

    code = "invalid_metadata"


def check_metadata(metadata: Mapping[str, str] | None, *, param: str = "metadata") -> dict[str, str]:
    """The map itself, or an empty one for None.

    Raises:
        MetadataError: More than 16 pairs, a key over 64 or a value over 512 characters, or a NUL character.
    """
    if metadata is None:
        return {}
    if len(metadata) > MAX_PAIRS:
        raise MetadataError(f"`{param}` may hold at most {MAX_PAIRS} pairs; it has {len(metadata)}.", param=param)
    for key, value in metadata.items():
        if len(key) > MAX_KEY_LENGTH or len(value) > MAX_VALUE_LENGTH:
            raise MetadataError(
                f"`{param}.{key[:MAX_KEY_LENGTH]}`: keys may have at most {MAX_KEY_LENGTH} characters "
                f"and values {MAX_VALUE_LENGTH}.",
                param=param,
            )
        if "\0" in key or "\0" in value:
            raise MetadataError(f"`{param}` holds a NUL character, which cannot be stored.", param=param)
    return dict(metadata)
