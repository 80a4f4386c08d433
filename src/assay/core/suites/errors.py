"""What can be wrong with a suite."""

from __future__ import annotations

from assay.kit.errors import InvalidError, NotFoundError


class SuiteNotFoundError(NotFoundError):
    """No such suite is visible to the caller."""

    code = "suite_not_found"


class SuiteVersionNotFoundError(NotFoundError):
    """The suite has no such version."""

    code = "suite_version_not_found"


class SuiteInputError(InvalidError):
    """A field of a suite, other than its manifest, is wrong."""

    code = "invalid_suite"
