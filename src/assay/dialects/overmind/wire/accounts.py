"""Signing in, and who is a member (O§2.5, O§2.8)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import StringConstraints

from assay.dialects.overmind.wire.base import Id, Input, Integer, Output

Email = Annotated[str, StringConstraints(min_length=1, max_length=254)]
Password = Annotated[str, StringConstraints(min_length=1, max_length=128)]
NewPassword = Annotated[str, StringConstraints(min_length=8, max_length=128)]
Token = Annotated[str, StringConstraints(min_length=1, max_length=4096)]


class RegistrationInput(Input):
    """Somebody new."""

    email: Email
    password: NewPassword
    password_confirm: Password


class SignInInput(Input):
    """An account, and which of its projects to work in; the oldest if none is named."""

    email: Email
    password: Password
    project: Id | None = None


class RefreshInput(Input):
    """A refresh token, which works once."""

    refresh: Token


class Tokens(Output):
    """An access token for a day, and a refresh token for a week."""

    access: str
    refresh: str


class RegisteredUser(Output):
    """Who registered."""

    id: int
    email: str
    email_verified: bool


class Registration(Tokens):
    """Somebody new, signed in."""

    user: RegisteredUser


class MembershipInput(Input):
    """Somebody of the organization."""

    user_id: Integer


class Membership(Output):
    """A member of a project."""

    id: UUID
    project: UUID
    user: int
    user_email: str
    created_at: datetime
    updated_at: datetime
