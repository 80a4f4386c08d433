"""What can be wrong with a body, before any event is looked at, and how this dialect's clients are told (P§6.2)."""

from __future__ import annotations

from collections.abc import Sequence

from assay.kit.errors import InvalidError, UnauthenticatedError


class UnsupportedMediaTypeError(InvalidError):
    """The body is of a type that this path does not read."""

    code = "unsupported_media_type"

    def __init__(self, media_type: str, known: Sequence[str]) -> None:
        super().__init__(f"The content type `{media_type[:64]}` is not read here. Send one of {', '.join(known)}.")


class MissingTokenError(UnauthenticatedError):
    """Nothing says which project the events are of."""

    code = "missing_token"

    def __init__(self) -> None:
        super().__init__(
            "No project token was sent. Send it as `api_key` in the body or as `Authorization: Bearer phc_…`."
        )


class MixedTokensError(UnauthenticatedError):
    """The events of one request are of several projects."""

    code = "mixed_tokens"

    def __init__(self) -> None:
        super().__init__("The request holds several project tokens. Send the events of one project at a time.")


class InvalidTokenError(UnauthenticatedError):
    """No project has the token."""

    code = "invalid_token"

    def __init__(self) -> None:
        super().__init__(
            "No project has this token. Send the project's capture token (`phc_…`), not an API key; "
            "`assay projects list` shows it."
        )
