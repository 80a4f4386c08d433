"""Assay: continuous evaluation and improvement of LLM applications and agents."""

from assay.kit.webhooks import WebhookVerificationError, verify_webhook

__all__ = ["WebhookVerificationError", "verify_webhook"]
