"""What can go wrong with callers and their keys."""

from __future__ import annotations

from assay.kit.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError, UnauthenticatedError


class MissingCredentialsError(UnauthenticatedError):
    """The request carries no key."""

    code = "not_authenticated"

    def __init__(self) -> None:
        super().__init__("No API key was sent. Send one as `Authorization: Bearer <key>`.")


class InvalidCredentialsError(UnauthenticatedError):
    """The key is unknown, expired or revoked, or its user has left. Which of these is not told to the caller."""

    code = "authentication_failed"

    def __init__(self) -> None:
        super().__init__("The API key is not valid. It may be mistyped, expired or revoked.")


class MissingScopeError(ForbiddenError):
    """The caller lacks a scope."""

    code = "missing_scope"

    def __init__(self, scope: str) -> None:
        super().__init__(
            f"This call needs the scope '{scope}', which the API key or its user's role does not grant.",
            data={"scope": scope},
        )


class MissingRoleError(ForbiddenError):
    """The caller's role is too low."""

    code = "missing_role"

    def __init__(self, role: str) -> None:
        super().__init__(
            f"This call needs the role '{role}' in the organization, and must not be made on behalf of an end user.",
            data={"role": role},
        )


class DelegationForbiddenError(ForbiddenError):
    """The key may not act on behalf of end users."""

    code = "delegation_forbidden"

    def __init__(self) -> None:
        super().__init__("This API key may not act on behalf of others. Use a key that was created with delegation.")


class InvalidDelegateError(InvalidError):
    """The name of the end user is malformed."""

    code = "invalid_delegate"

    def __init__(self, max_length: int) -> None:
        super().__init__(
            f"The end user must be 1-{max_length} printable ASCII characters, not only spaces, and not `*`.",
            param="X-On-Behalf-Of",
        )


class ProjectNotFoundError(NotFoundError):
    """There is no such project."""

    code = "project_not_found"

    def __init__(self) -> None:
        super().__init__("Project not found.")


class ProjectForbiddenError(ForbiddenError):
    """The project exists, and the key belongs to another one."""

    code = "project_forbidden"

    def __init__(self) -> None:
        super().__init__("This API key does not give access to that project. Use a key of the project.")


class ApiKeyNotFoundError(NotFoundError):
    """There is no such key in the project."""

    code = "api_key_not_found"

    def __init__(self) -> None:
        super().__init__("API key not found.")


class UserNotFoundError(NotFoundError):
    """There is no such user in the organization."""

    code = "user_not_found"

    def __init__(self) -> None:
        super().__init__("User not found.")


class InvalidEmailError(InvalidError):
    """No address that somebody could sign in by."""

    code = "invalid_email"

    def __init__(self) -> None:
        super().__init__("`email` must be an address such as name@example.com.", param="email")


class MemberExistsError(ConflictError):
    """Somebody has this address already."""

    code = "member_exists"

    def __init__(self) -> None:
        super().__init__("Somebody has this e-mail address already.", param="email")


class LastOwnerError(ConflictError):
    """The organization would be left without an owner."""

    code = "last_owner"

    def __init__(self) -> None:
        super().__init__("This is the organization's only owner; make somebody else an owner first.")


class InvalidNameError(InvalidError):
    """A name that cannot be stored or shown."""

    code = "invalid_name"

    def __init__(self, param: str, *, max_length: int) -> None:
        super().__init__(f"`{param}` must be 1-{max_length} characters, not only spaces, without NUL.", param=param)


class InvalidExpiryError(InvalidError):
    """A key that would be born expired."""

    code = "invalid_expiry"

    def __init__(self) -> None:
        super().__init__("`expires_at` must be in the future.", param="expires_at")


class UnknownScopeError(InvalidError):
    """A scope that does not exist."""

    code = "unknown_scope"

    def __init__(self, scope: str, *, known: list[str]) -> None:
        super().__init__(f"Unknown scope '{scope}'. Known scopes: {', '.join(known)}.", param="scopes")


class PresetKeyTooShortError(InvalidError):
    """A preset key that could be guessed."""

    code = "preset_key_too_short"

    def __init__(self, min_length: int) -> None:
        super().__init__(
            f"The preset API key must have at least {min_length} characters and no spaces.",
            param="ASSAY_BOOTSTRAP_API_KEY",
        )


class PresetKeyRevokedError(ConflictError):
    """The preset key was revoked before, so starting with it would lock its user out silently."""

    code = "preset_key_revoked"

    def __init__(self) -> None:
        super().__init__(
            "The preset API key is revoked or expired. Set ASSAY_BOOTSTRAP_API_KEY to another, or unset it."
        )
