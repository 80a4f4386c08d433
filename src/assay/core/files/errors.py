"""What can go wrong with files."""

from __future__ import annotations

from assay.kit.errors import InvalidError, LimitError, NotFoundError, UnavailableError


class FileNotFoundInProjectError(NotFoundError):
    """There is no such file, or the caller may not see it."""

    code = "file_not_found"

    def __init__(self) -> None:
        super().__init__("File not found.")


class FileTooLargeError(LimitError):
    """The content is longer than allowed."""

    code = "file_too_large"

    def __init__(self, max_bytes: int) -> None:
        super().__init__(
            f"The file is larger than the limit of {max_bytes:,} bytes. Split it, or raise ASSAY_FILES_MAX_BYTES.",
            param="file",
            data={"max_bytes": max_bytes},
        )


class ContentUnavailableError(UnavailableError):
    """The file store does not answer, or has lost the content of a file that is still listed."""

    code = "content_unavailable"

    def __init__(self, action: str) -> None:
        super().__init__(f"The file store could not {action} the content just now. Try again in a moment.")


class InvalidFilenameError(InvalidError):
    """The upload has no usable name."""

    code = "invalid_filename"

    def __init__(self, reason: str) -> None:
        super().__init__(f"The file part needs a filename: {reason}.", param="file")


class InvalidPurposeError(InvalidError):
    """The purpose does not exist."""

    code = "invalid_purpose"

    def __init__(self, known: list[str]) -> None:
        super().__init__(f"`purpose` must be one of {', '.join(known)}.", param="purpose")


class InvalidDigestError(InvalidError):
    """The digest to filter by is not one."""

    code = "invalid_sha256"

    def __init__(self) -> None:
        super().__init__("`sha256` must be 64 hexadecimal digits.", param="sha256")


class InvalidFilePageSizeError(InvalidError):
    """A page of files that is too small or too large."""

    code = "invalid_limit"

    def __init__(self, max_limit: int) -> None:
        super().__init__(f"`limit` must be 1 to {max_limit}.", param="limit")


class InvalidRangeError(InvalidError):
    """The part asked for is not in the file."""

    code = "invalid_range"

    def __init__(self, size: int) -> None:
        super().__init__(f"The range is not within the file's {size} bytes.", param="Range", data={"size": size})
