"""Settings: the project, models, provider keys, API keys, members, webhooks, and one's own account."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from starlette.responses import Response

from assay.core.accounts import service as accounts
from assay.core.evaluators import keys
from assay.core.evaluators.keys import KeyValues
from assay.core.evaluators.types import KeyProvider
from assay.core.projects import members, profiles, service
from assay.core.projects.types import IssuedApiKey, Role, Scope
from assay.core.schedules.service import list_schedules
from assay.core.schedules.types import ScheduleFilter
from assay.core.webhooks.service import count_deliveries, find_endpoints
from assay.core.webhooks.types import OwnerKind
from assay.db.slices import Slice
from assay.kit.clock import utc_now
from assay.kit.errors import DomainError
from assay.ui.edge import FieldError, Pages, Visit
from assay.ui.pages.runs import read_count

KEYS = 200
SCHEDULES = 100
ROLES = [Role.VIEWER, Role.EDITOR, Role.ADMIN, Role.OWNER]
pages = Pages()


@pages.get("/settings", None)
async def show_project(visit: Visit) -> Response:
    """The project, and where applications send what."""
    project = await service.get_project(visit.session, visit.principal)
    return await visit.render(
        "settings_project.html",
        project=project,
        address=str(visit.request.base_url).rstrip("/"),
        organization=await members.organization_name(visit.session, visit.principal),
    )


@pages.post("/settings/project", Scope.PROJECT_WRITE)
async def rename_project(visit: Visit) -> Response:
    """Change the project's name."""
    name = visit.field("name")
    if not 1 <= len(name) <= service.MAX_NAME_LENGTH:
        raise FieldError("Give the project a name of up to 255 characters.", param="name")
    await profiles.update_project(visit.session, visit.principal, {"name": name})
    return visit.go("/settings", "The project is renamed.")


@pages.post("/settings/projects", Scope.PROJECT_WRITE)
async def create_project(visit: Visit) -> Response:
    """Add a project to the organization."""
    project = await service.create_project(visit.session, visit.principal, name=visit.field("name"))
    return visit.go("/settings", f"{project.name} is made. Whoever signs in with e-mail can switch to it.")


@pages.get("/settings/models", None)
async def show_models(visit: Visit) -> Response:
    """The models that can be asked."""
    catalog = visit.state.catalog
    return await visit.render(
        "settings_models.html",
        models=sorted(catalog.list_models(), key=lambda one: one.entry.id),
        roles=catalog.roles(),
    )


@pages.get("/settings/providers", Scope.PROVIDER_KEY_READ)
async def show_provider_keys(visit: Visit) -> Response:
    """Keys of model providers, without their secrets."""
    return await _show_provider_keys(visit)


@pages.post("/settings/providers", Scope.PROVIDER_KEY_WRITE)
async def add_provider_key(visit: Visit) -> Response:
    """Try a key at its provider, and keep it if it works."""
    try:
        if visit.field("provider") not in set(KeyProvider):
            raise FieldError("Choose a provider.", param="provider")
        values = KeyValues(
            provider=KeyProvider(visit.field("provider")),
            name=visit.field("name") or visit.field("provider"),
            secret=visit.field("secret"),
            set_as_active=visit.field("active") == "yes",
        )
        for name in ("base_url", "azure_endpoint", "api_version"):
            if visit.optional(name):
                values[name] = visit.field(name)
        async with visit.session.begin_nested():
            await keys.create_key(visit.session, visit.principal, values, visit.state.provider_keys)
    except DomainError as error:
        return await _show_provider_keys(visit, error=error)
    return visit.go("/settings/providers", "The key works, and is kept.")


@pages.post("/settings/providers/{key_id}", Scope.PROVIDER_KEY_WRITE)
async def change_provider_key(visit: Visit) -> Response:
    """Try a key again, make it the active one, or delete it."""
    key_id, wanted = visit.path_id("key_id"), visit.field("wanted")
    if wanted == "activate":
        visit.principal.require(Scope.EVALUATION_WRITE)
        await keys.set_active_key(visit.session, visit.principal, key_id)
        return visit.go("/settings/providers", "Judges that name no key use this one.")
    row = await keys.lock_key(visit.session, visit.principal, key_id)
    if wanted == "delete":
        await keys.delete_key(visit.session, row)
        return visit.go("/settings/providers", "The key is deleted.")
    checked = await keys.validate_key(visit.session, row, visit.state.provider_keys)
    return visit.go("/settings/providers", f"{checked.name}: {checked.error_message or checked.state.value}")


@pages.get("/settings/keys", Scope.API_KEY_READ)
async def show_api_keys(visit: Visit) -> Response:
    """The project's API keys."""
    return await _show_api_keys(visit)


@pages.post("/settings/keys", Scope.API_KEY_WRITE)
async def create_api_key(visit: Visit) -> Response:
    """Make a key, and show it this one time."""
    scopes = [value for value in visit.form.getlist("scopes") if isinstance(value, str)]
    days = read_count(visit, "days")
    try:
        async with visit.session.begin_nested():
            issued = await service.create_api_key(
                visit.session,
                visit.principal,
                name=visit.field("name"),
                scopes=scopes,
                expires_at=None if days is None else utc_now() + timedelta(days=min(days, 36_500)),
            )
    except DomainError as error:
        return await _show_api_keys(visit, error=error)
    return await _show_api_keys(visit, issued=issued)


@pages.post("/settings/keys/{key_id}/revoke", Scope.API_KEY_WRITE)
async def revoke_api_key(visit: Visit) -> Response:
    """Revoke a key."""
    revoked = await service.revoke_api_key(visit.session, visit.principal, key_id=visit.path_id("key_id"))
    return visit.go("/settings/keys", f"{revoked.name} is revoked.")


@pages.get("/settings/members", Scope.PROJECT_READ)
async def show_members(visit: Visit) -> Response:
    """Who is in the organization."""
    return await _show_members(visit)


@pages.post("/settings/members", Scope.PROJECT_WRITE)
async def add_member(visit: Visit) -> Response:
    """Add somebody who signs in with e-mail and password."""
    try:
        async with visit.session.begin_nested():
            await accounts.add_account(
                visit.session,
                visit.principal,
                name=visit.field("name"),
                email=visit.field("email"),
                role=_read_role(visit),
                password=visit.field("password"),
            )
    except DomainError as error:
        return await _show_members(visit, error=error)
    return visit.go("/settings/members", f"{visit.field('name')} can sign in now. Tell them the password.")


@pages.post("/settings/members/{user_id}", Scope.PROJECT_WRITE)
async def change_member(visit: Visit) -> Response:
    """Give a member another role, or shut them out."""
    user_id = visit.path_id("user_id")
    if visit.field("wanted") == "deactivate":
        await members.deactivate_member(visit.session, visit.principal, user_id=user_id)
        return visit.go("/settings/members", "They are shut out. What they made stays.")
    await members.change_role(visit.session, visit.principal, user_id=user_id, role=_read_role(visit))
    return visit.go("/settings/members", "The role is changed.")


@pages.get("/settings/webhooks", Scope.EVALS_READ)
async def show_webhooks(visit: Visit) -> Response:
    """Where schedules tell what happened, and whether it arrives."""
    found = await list_schedules(visit.session, visit.principal, schedule_filter=ScheduleFilter(), limit=SCHEDULES)
    telling = [one for one in found.items if one.webhook_url is not None]
    endpoints = await find_endpoints(
        visit.session, owner_kind=OwnerKind.SCHEDULE, owner_ids=[one.id for one in telling]
    )
    counts = {
        owner: await count_deliveries(visit.session, visit.principal, endpoint_id=endpoint.id)
        for owner, endpoint in endpoints.items()
    }
    return await visit.render("settings_webhooks.html", schedules=telling, endpoints=endpoints, counts=counts)


@pages.get("/settings/account", None)
async def show_account(visit: Visit) -> Response:
    """One's own address and password."""
    return await _show_account(visit)


@pages.post("/settings/account", None)
async def change_account(visit: Visit) -> Response:
    """Change one's own address and password; every role may."""
    try:
        async with visit.session.begin_nested():
            await accounts.set_own_password(
                visit.session,
                visit.visitor,
                email=visit.field("email"),
                password=visit.field("password"),
                current=visit.optional("current"),
            )
    except DomainError as error:
        return await _show_account(visit, error=error)
    return visit.go("/settings/account", "From now on you can sign in with this e-mail and password.")


async def _show_provider_keys(visit: Visit, *, error: DomainError | None = None) -> Response:
    found = await keys.list_keys(visit.session, visit.principal, Slice(KEYS, 0))
    active = None
    if visit.may(Scope.ANALYTICS_READ):
        active = (await keys.open_settings(visit.session, visit.principal)).active_key
    return await visit.render(
        "settings_providers.html",
        status=200 if error is None else 422,
        keys=found.rows,
        active=None if active is None else active.id,
        provider_choices=[(one.value, one.value.replace("_", " ")) for one in KeyProvider],
        form=visit.form,
        error=error,
    )


async def _show_api_keys(
    visit: Visit, *, issued: IssuedApiKey | None = None, error: DomainError | None = None
) -> Response:
    return await visit.render(
        "settings_keys.html",
        status=200 if error is None else 422,
        keys=await service.list_api_keys(visit.session, visit.principal),
        scopes=[scope for scope in Scope if visit.principal.scopes & scope.granting],
        issued=issued,
        form=visit.form,
        error=error,
    )


async def _show_members(visit: Visit, *, error: DomainError | None = None) -> Response:
    return await visit.render(
        "settings_members.html",
        status=200 if error is None else 422,
        members=await members.list_members(visit.session, visit.principal),
        with_password=await accounts.who_has_passwords(visit.session, visit.principal),
        roles=[role for role in ROLES if visit.principal.role.covers(role)],
        form=visit.form,
        error=error,
    )


async def _show_account(visit: Visit, *, error: DomainError | None = None) -> Response:
    values: dict[str, Any] = {
        "has_password": await accounts.has_password(visit.session, visit.visitor.user_id),
        "form": visit.form,
        "error": error,
    }
    return await visit.render("settings_account.html", status=200 if error is None else 422, **values)


def _read_role(visit: Visit) -> Role:
    if visit.field("role") not in set(Role):
        raise FieldError("Choose a role.", param="role")
    return Role(visit.field("role"))
