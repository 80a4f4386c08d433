"""What can go wrong with webhooks."""

from __future__ import annotations

from assay.core.webhooks.types import MAX_SECRET_CHARACTERS, MIN_SECRET_CHARACTERS
from assay.kit.errors import ConflictError, InvalidError, NotFoundError, UnavailableError


class EndpointNotFoundError(NotFoundError):
    """The object has no webhook, or the caller may not see it."""

    code = "webhook_not_found"

    def __init__(self) -> None:
        super().__init__("No webhook is set here.")


class DeliveryNotFoundError(NotFoundError):
    """There is no such delivery, or the caller may not see it."""

    code = "webhook_delivery_not_found"

    def __init__(self) -> None:
        super().__init__("No such delivery.", param="delivery_id")


class EndpointInactiveError(ConflictError):
    """Nothing can be sent to the endpoint as it is."""

    code = "webhook_inactive"

    def __init__(self, reason: str) -> None:
        super().__init__(f"The webhook is not active: {reason} Set its URL again to enable it.")


class WebhookSecretError(InvalidError):
    """The signing secret cannot be used."""

    code = "webhook_secret"

    def __init__(self, param: str) -> None:
        super().__init__(
            f"`{param}` must have {MIN_SECRET_CHARACTERS} to {MAX_SECRET_CHARACTERS} characters and hold no NUL or "
            "half of a surrogate pair.",
            param=param,
        )


class SecretStorageError(UnavailableError):
    """There is no key to encrypt a webhook's secret with."""

    code = "secret_key_missing"

    def __init__(self) -> None:
        super().__init__(
            "Webhook secrets cannot be stored: this server has no key for them. Set ASSAY_SECRET_KEY.",
            param="webhook_secret",
        )
