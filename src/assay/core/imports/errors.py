"""What can be wrong with an import."""

from __future__ import annotations

from assay.kit.errors import InvalidError


class ImportInputError(InvalidError):
    """A field of an import is wrong."""

    code = "invalid_import"
