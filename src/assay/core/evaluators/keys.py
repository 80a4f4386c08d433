"""Use cases of provider keys (P§3.3).

A key is tried at its provider before it is stored. Its secret is encrypted, opened only to call the provider, and never
read back; a deleted key loses it at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.evaluators import repository
from assay.core.evaluators.checking import KeyChecker
from assay.core.evaluators.errors import (
    KeyFieldError,
    KeyNotHealthyError,
    KeyRefusedError,
    KeyStorageError,
    ProviderKeyNotFoundError,
)
from assay.core.evaluators.models import EvaluationSettingsRow, ProviderKeyRow
from assay.core.evaluators.providers import PREFIXES, Place
from assay.core.evaluators.rows import read_key
from assay.core.evaluators.types import EvaluationSettings, KeyProvider, KeyState, ProviderKey
from assay.core.ownership import owner_columns
from assay.core.projects.types import Principal
from assay.db.slices import Counted, Slice
from assay.kit.clock import utc_now
from assay.kit.secrets import SecretBox
from assay.outbound.errors import OutboundError

T = TypeVar("T")
MAX_SECRET_CHARACTERS = 2000


class KeyValues(TypedDict, total=False):
    """What a caller sets of a key; what is not in it stays as it is."""

    provider: KeyProvider
    name: str
    secret: str
    base_url: str | None
    azure_endpoint: str | None
    api_version: str | None
    set_as_active: bool


@dataclass(frozen=True, slots=True)
class KeyTools:
    """What storing and trying a key needs."""

    checker: KeyChecker
    secrets: SecretBox | None
    """Encrypts secrets; None when there is no key for it."""


async def create_key(session: AsyncSession, principal: Principal, values: KeyValues, tools: KeyTools) -> ProviderKey:
    """Store a key that its provider takes.

    Args:
        session: A session inside a transaction.
        principal: Whose it will be.
        values: With ``provider``, ``name`` and ``secret``.
        tools: To try and to encrypt it.

    Raises:
        KeyFieldError: A part is missing or wrong.
        KeyRefusedError: The provider does not take it, or could not be asked.
        KeyStorageError: This server cannot encrypt it.
    """
    provider = _required("provider", values.get("provider"))
    row = ProviderKeyRow(
        **owner_columns(principal), provider=provider.value, name=_required("name", values.get("name"))
    )
    _set_place(row, values, tools)
    await _set_secret(row, _required("secret", values.get("secret")), tools)
    session.add(row)
    await session.flush()
    if values.get("set_as_active"):
        await _activate(session, row)
    return read_key(row)


async def update_key(session: AsyncSession, row: ProviderKeyRow, values: KeyValues, tools: KeyTools) -> ProviderKey:
    """Change what ``values`` names. A new secret is tried first; a new place alone makes the state unknown.

    Args:
        session: A session inside a transaction.
        row: From ``lock_key``.
        values: The provider cannot change.
        tools: To try and to encrypt a new secret.

    Raises:
        KeyFieldError: A part is wrong, or the base URL changes without the secret.
        KeyRefusedError: The provider does not take the new secret, or could not be asked.
        KeyStorageError: This server cannot encrypt it.
        KeyNotHealthyError: It shall be the active one, and does not work.
    """
    if values.get("provider", row.provider) != row.provider:
        raise KeyFieldError("provider", "The provider of a key cannot change. Add another key.")
    if "base_url" in values and values["base_url"] != row.base_url and "secret" not in values:
        # Else whoever may write could have the stored secret sent to a server of theirs.
        raise KeyFieldError("secret", "Send the key along with its new base URL.")
    if "name" in values:
        row.name = values["name"]
    moved = _set_place(row, values, tools)
    if "secret" in values:
        await _set_secret(row, values["secret"], tools)
    elif moved:
        row.state, row.error_message = KeyState.UNKNOWN.value, None
    row.updated_at = utc_now()
    if values.get("set_as_active"):
        await _activate(session, row)
    await session.flush()
    return read_key(row)


async def validate_key(session: AsyncSession, row: ProviderKeyRow, tools: KeyTools) -> ProviderKey:
    """Try a key again and remember what its provider says.

    Args:
        session: A session inside a transaction.
        row: From ``lock_key``.
        tools: To open and to try it.

    Raises:
        KeyStorageError: This server cannot open it.
    """
    check = await tools.checker.check(Place.of(row), _open(row, tools))
    row.state, row.error_message = check.state.value, check.message
    row.updated_at = utc_now()
    await session.flush()
    return read_key(row)


async def delete_key(session: AsyncSession, row: ProviderKeyRow) -> None:
    """Forget a key's secret; judges that name it stop at their next run.

    Args:
        session: A session inside a transaction.
        row: From ``lock_key``.
    """
    row.deleted_at = row.updated_at = utc_now()
    row.sealed_secret = None
    await repository.clear_active_key(session, row.project_id, row.id)
    await session.flush()


async def find_key(session: AsyncSession, principal: Principal, key_id: UUID) -> ProviderKey:
    """A key by its id.

    Raises:
        ProviderKeyNotFoundError: The caller has no such key.
    """
    return read_key(await _find_row(session, principal, key_id, lock=False))


async def lock_key(session: AsyncSession, principal: Principal, key_id: UUID) -> ProviderKeyRow:
    """A key to change, which nobody else changes meanwhile.

    Raises:
        ProviderKeyNotFoundError: The caller has no such key.
    """
    return await _find_row(session, principal, key_id, lock=True)


async def list_keys(session: AsyncSession, principal: Principal, part: Slice) -> Counted[ProviderKey]:
    """The caller's keys, newest first."""
    found = await repository.list_keys(session, principal, part)
    return Counted(found.count, [read_key(row) for row in found.rows])


async def key_names(session: AsyncSession, key_ids: Sequence[UUID]) -> Mapping[UUID, str]:
    """Names of keys by their ids, for evaluators that the caller may see; deleted ones are not among them."""
    return await repository.key_names(session, key_ids)


async def list_models(
    session: AsyncSession, principal: Principal, provider: KeyProvider, key_id: UUID | None, tools: KeyTools
) -> Sequence[str]:
    """Names of the models that a key opens: the one given, else the project's active one; none without a key.

    Raises:
        ProviderKeyNotFoundError: The caller has no such key, or it is of another provider.
        KeyRefusedError: The provider gave no list.
        KeyStorageError: This server cannot open the key.
    """
    if key_id is not None:
        row = await _find_row(session, principal, key_id, lock=False)
        if row.provider != provider.value:
            raise ProviderKeyNotFoundError(key_id)
    else:
        row = await repository.find_active_key(session, principal.project_id)
        if row is None or row.provider != provider.value:
            return []
    return await tools.checker.list_models(Place.of(row), _open(row, tools))


async def open_settings(session: AsyncSession, principal: Principal) -> EvaluationSettings:
    """What holds for all evaluators of the caller's project; made when it is first asked for."""
    row = await repository.open_settings(session, principal.project_id)
    return await _settings(session, row)


async def set_active_key(session: AsyncSession, principal: Principal, key_id: UUID) -> EvaluationSettings:
    """Make a key the one that judges use when they name none.

    Raises:
        ProviderKeyNotFoundError: The caller has no such key.
        KeyNotHealthyError: Its state is not ``ok``.
    """
    row = await _find_row(session, principal, key_id, lock=True)
    return await _settings(session, await _activate(session, row))


async def _activate(session: AsyncSession, row: ProviderKeyRow) -> EvaluationSettingsRow:
    if row.state != KeyState.OK.value:
        raise KeyNotHealthyError(KeyState(row.state))
    settings = await repository.open_settings(session, row.project_id)
    settings.active_key_id = row.id
    settings.updated_at = utc_now()
    await session.flush()
    return settings


async def _settings(session: AsyncSession, row: EvaluationSettingsRow) -> EvaluationSettings:
    active = await repository.find_active_key(session, row.project_id)
    return EvaluationSettings(
        project_id=row.project_id,
        active_key=None if active is None else read_key(active),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


async def _find_row(session: AsyncSession, principal: Principal, key_id: UUID, *, lock: bool) -> ProviderKeyRow:
    row = await repository.find_visible_key(session, principal, key_id, lock=lock)
    if row is None:
        raise ProviderKeyNotFoundError(key_id)
    return row


def _required(param: str, value: T | None) -> T:
    if value is None:
        raise KeyFieldError(param, "This field is required.")
    return value


def _set_place(row: ProviderKeyRow, values: KeyValues, tools: KeyTools) -> bool:
    """Set where the key is used; whether that changed anything."""
    before = Place.of(row)
    row.base_url = values.get("base_url", row.base_url)
    row.azure_endpoint = values.get("azure_endpoint", row.azure_endpoint)
    row.api_version = values.get("api_version", row.api_version)
    place = Place.of(row)
    if place.provider is KeyProvider.AZURE_OPENAI and not place.azure_endpoint:
        raise KeyFieldError("azure_endpoint", "Give the endpoint of the Azure resource.")
    if place.provider is KeyProvider.OPENAI_COMPATIBLE and not place.base_url:
        raise KeyFieldError("base_url", "Give the server's base URL, up to and including `/v1`.")
    for name in ("base_url", "azure_endpoint"):
        url: str | None = getattr(place, name)
        if url is not None:
            _check_url(url, name, tools)
    return place != before


def _check_url(url: str, param: str, tools: KeyTools) -> None:
    try:
        tools.checker.policy.check_url(url, param=param)
    except OutboundError as error:
        raise KeyFieldError(param, error.message) from error


async def _set_secret(row: ProviderKeyRow, secret: str, tools: KeyTools) -> None:
    """Try a secret, and keep it if the provider takes it."""
    if tools.secrets is None:
        raise KeyStorageError
    place = Place.of(row)
    _check_secret(place.provider, secret)
    check = await tools.checker.check(place, secret)
    if check.state is not KeyState.OK:
        azure = place.provider is KeyProvider.AZURE_OPENAI and check.state is KeyState.ERROR
        raise KeyRefusedError("azure_endpoint" if azure else "secret", check.message or "The key does not work.")
    row.sealed_secret = tools.secrets.encrypt(secret)
    row.masked = mask_secret(secret)
    row.state, row.error_message = KeyState.OK.value, None


def _check_secret(provider: KeyProvider, secret: str) -> None:
    if not 1 <= len(secret) <= MAX_SECRET_CHARACTERS or not secret.isascii() or not secret.isprintable():
        raise KeyFieldError("secret", f"A key has 1 to {MAX_SECRET_CHARACTERS} printable ASCII characters.")
    prefix = PREFIXES.get(provider, "")
    if not secret.startswith(prefix):
        raise KeyFieldError("secret", f"Keys of `{provider.value}` begin with `{prefix}`.")


def mask_secret(secret: str) -> str:
    """Enough of a secret to tell keys apart."""
    return f"{secret[:4]}...{secret[-4:]}" if len(secret) > 8 else "****"


def _open(row: ProviderKeyRow, tools: KeyTools) -> str:
    if tools.secrets is None or row.sealed_secret is None:
        raise KeyStorageError
    return tools.secrets.decrypt(row.sealed_secret)
