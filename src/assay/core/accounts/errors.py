"""What can go wrong with sessions and passwords."""

from __future__ import annotations

from assay.kit.errors import ForbiddenError, InvalidError, UnauthenticatedError


class NoSessionError(UnauthenticatedError):
    """Nobody is signed in, or not any more."""

    code = "no_session"

    def __init__(self) -> None:
        super().__init__("Sign in to go on.")


class WeakPasswordError(InvalidError):
    """A password that is too easy to guess, or too long to hash."""

    code = "weak_password"

    def __init__(self, least: int, most: int) -> None:
        super().__init__(f"The password must have {least} to {most} characters.", param="password")


class WrongPasswordError(InvalidError):
    """The present password, asked for before it is changed, is another."""

    code = "wrong_password"

    def __init__(self) -> None:
        super().__init__("This is not your present password.", param="current")


class RegistrationClosedError(ForbiddenError):
    """Nobody may register here."""

    code = "registration_closed"

    def __init__(self) -> None:
        super().__init__(
            "Registration is closed on this server. An admin can add you under Settings, Members; "
            "ASSAY_ACCOUNTS_REGISTRATION=true opens it to everybody."
        )


class KeySessionError(ForbiddenError):
    """What only a person who signed in with a password may do."""

    code = "key_session"

    def __init__(self) -> None:
        super().__init__("You signed in with an API key, which belongs to one project. Sign in with e-mail to switch.")
