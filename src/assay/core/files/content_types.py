"""Under which media type content is served.

Clients of the published API decode only the types below and fail on any other, ``application/octet-stream`` among them
(meetkai-mka1 0.12.128, ``files.content``). What an upload declares is mostly guessed by its HTTP library, so the
filename counts first; whatever is left unknown is served as plain text.
"""

from __future__ import annotations

from pathlib import PurePosixPath

FALLBACK = "text/plain"

_OFFICE = "application/vnd.openxmlformats-officedocument"

BY_EXTENSION = {
    ".txt": "text/plain",
    ".csv": "text/csv",
    ".html": "text/html",
    ".htm": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".md": "text/markdown",
    ".xml": "application/xml",
    ".py": "text/x-python",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".ndjson": "application/x-ndjson",
    ".pdf": "application/pdf",
    ".doc": "application/msword",
    ".rtf": "application/rtf",
    ".docx": f"{_OFFICE}.wordprocessingml.document",
    ".xlsx": f"{_OFFICE}.spreadsheetml.sheet",
    ".pptx": f"{_OFFICE}.presentationml.presentation",
    ".xls": "application/vnd.ms-excel",
    ".ppt": "application/vnd.ms-powerpoint",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".svg": "image/svg+xml",
}

SERVED = frozenset({*BY_EXTENSION.values(), "text/xml", "application/javascript", "image/jpg"})
"""All types that clients decode."""


def choose_content_type(filename: str, declared: str | None) -> str:
    """The type for a file: by its name's extension, else as declared if clients know it, else plain text."""
    by_name = BY_EXTENSION.get(PurePosixPath(filename).suffix.lower())
    if by_name is not None:
        return by_name
    essence = (declared or "").partition(";")[0].strip().lower()
    return essence if essence in SERVED else FALLBACK
