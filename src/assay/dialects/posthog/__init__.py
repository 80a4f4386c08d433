"""The ``posthog`` dialect: datasets and their items."""
