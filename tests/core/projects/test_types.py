"""What a principal may do and whom it may act for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.projects.errors import (
    DelegationForbiddenError,
    InvalidDelegateError,
    MissingRoleError,
    MissingScopeError,
)
from assay.core.projects.types import Principal, Role, Scope
from assay.kit.ids import new_id

OWNER = Principal(
    organization_id=new_id(),
    project_id=new_id(),
    user_id=new_id(),
    role=Role.OWNER,
    scopes=frozenset({Scope.ALL}),
    key_id=new_id(),
    may_delegate=True,
)


@pytest.mark.parametrize(
    ("scopes", "role", "wanted", "allowed"),
    [
        ({Scope.EVALS_READ}, Role.OWNER, Scope.EVALS_READ, True),
        ({Scope.EVALS_READ}, Role.OWNER, Scope.EVALS_WRITE, False),
        ({Scope.EVALS_WRITE}, Role.EDITOR, Scope.EVALS_READ, True),
        ({Scope.DATASET_WRITE}, Role.EDITOR, Scope.DATASET_READ, True),
        ({Scope.DATASET_WRITE}, Role.EDITOR, Scope.EVALUATION_READ, False),
        ({Scope.ALL}, Role.EDITOR, Scope.FILES_WRITE, True),
        ({Scope.ALL}, Role.VIEWER, Scope.FILES_WRITE, False),
        ({Scope.ALL}, Role.VIEWER, Scope.FILES_READ, True),
        ({Scope.FILES_WRITE}, Role.VIEWER, Scope.FILES_READ, True),
        ({Scope.EVENT_CAPTURE}, Role.EDITOR, Scope.EVALS_READ, False),
        (set[Scope](), Role.OWNER, Scope.EVALS_READ, False),
    ],
)
def test_scopes_and_role_both_count(scopes: set[Scope], role: Role, wanted: Scope, *, allowed: bool) -> None:
    principal = replace(OWNER, scopes=frozenset(scopes), role=role)
    assert principal.allows(wanted) is allowed
    if allowed:
        principal.require(wanted)
    else:
        with pytest.raises(MissingScopeError, match=rf"'{wanted.value}'") as caught:
            principal.require(wanted)
        assert caught.value.data == {"scope": wanted.value}


@pytest.mark.parametrize("scope", [scope for scope in Scope if scope is not Scope.ALL])
def test_every_scope_is_granted_by_itself_and_by_the_wildcard(scope: Scope) -> None:
    assert replace(OWNER, scopes=frozenset({scope})).allows(scope)
    assert OWNER.allows(scope)


def test_roles_are_ranked_and_not_delegated() -> None:
    assert [role for role in Role if role.covers(Role.ADMIN)] == [Role.ADMIN, Role.OWNER]
    OWNER.require_role(Role.OWNER)
    with pytest.raises(MissingRoleError):
        replace(OWNER, role=Role.EDITOR).require_role(Role.ADMIN)
    with pytest.raises(MissingRoleError):
        OWNER.delegate("somebody").require_role(Role.VIEWER)


@pytest.mark.parametrize("name", ["a", "a b", "user@example.com", "**", "~", "x" * 150])
def test_end_users_with_well_formed_names(name: str) -> None:
    delegated = OWNER.delegate(name)
    assert delegated == replace(OWNER, on_behalf_of=name)
    assert delegated.is_delegated


@pytest.mark.parametrize("name", ["", " ", "*", "x" * 151, "a\n", "a\tb", "\0", "é", "\x7f"])
def test_end_users_with_malformed_names(name: str) -> None:
    with pytest.raises(InvalidDelegateError):
        OWNER.delegate(name)


@given(st.text(max_size=200))
def test_delegation_accepts_exactly_printable_ascii(name: str) -> None:
    expected = 1 <= len(name) <= 150 and all(" " <= c <= "~" for c in name) and name.strip() != "" and name != "*"
    try:
        accepted = OWNER.delegate(name).on_behalf_of == name
    except InvalidDelegateError:
        accepted = False
    assert accepted == expected


def test_a_key_without_the_flag_may_not_delegate() -> None:
    with pytest.raises(DelegationForbiddenError):
        replace(OWNER, may_delegate=False).delegate("somebody")
