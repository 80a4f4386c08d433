"""What can be wrong with agents and what belongs to them."""

from __future__ import annotations

from assay.kit.errors import InvalidError, NotFoundError


class TargetNotFoundError(NotFoundError):
    """The caller has no such agent, prompt, dataset version or suggestion."""

    code = "target_not_found"

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} not found.")


class UnknownReferenceError(InvalidError):
    """A body names an object that is not there, or is not the caller's.

    Args:
        param: The field, in the core's words.
        reference: The id as given.
    """

    code = "unknown_reference"

    def __init__(self, param: str, reference: object) -> None:
        super().__init__(f'Invalid pk "{reference}" - object does not exist.', param=param)


class DuplicateSlugError(InvalidError):
    """Another agent of the project has the slug."""

    code = "duplicate_slug"

    def __init__(self) -> None:
        super().__init__("The fields project, slug must make a unique set: another agent has this slug.")
