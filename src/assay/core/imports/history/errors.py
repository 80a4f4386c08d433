"""What can be wrong with a historical import."""

from __future__ import annotations

from assay.kit.errors import InvalidError, LimitError, UnavailableError


class HistorySourceError(InvalidError):
    """The repository, the revision or a file cannot be read with the caller's token."""

    code = "import_source"


class HistoryFormatError(InvalidError):
    """A file is not what lm-evaluation-harness writes."""

    code = "import_format"


class HistoryTooLargeError(LimitError):
    """The files are larger than one import takes."""

    code = "import_too_large"


class HistorySourceUnavailableError(UnavailableError):
    """The repository's server does not answer at the moment."""

    code = "import_source_unavailable"


class ImportGoesOnError(UnavailableError):
    """The import takes longer than a request may; an equal request takes part in it."""

    code = "import_in_progress"

    def __init__(self) -> None:
        super().__init__("The import goes on. Send the same request again to take part in it and get its result.")


class TooManyImportsError(UnavailableError):
    """The process has as many imports under way as it takes on."""

    code = "too_many_imports"

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} imports are under way in this process. Try again when one of them has ended.")
