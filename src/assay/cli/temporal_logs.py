"""Temporal's core writes its log to standard output unless it is told where else."""

from __future__ import annotations

import logging

from temporalio.runtime import LogForwardingConfig, LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter

_LOGGER = "temporalio.core"


def route_temporal_logs() -> None:
    """Send the core's warnings to the log of this process. Call it before the first client is opened."""
    logger = logging.getLogger(_LOGGER)
    logger.addFilter(_drop_entry)
    forwarding = LogForwardingConfig(
        logger=logger,
        append_target_to_name=False,
        prepend_target_on_message=False,
        append_log_fields_to_message=True,
    )
    logs = LoggingConfig(TelemetryFilter(core_level="WARN", other_level="ERROR"), forwarding=forwarding)
    Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=logs)), error_if_already_set=False)


def _drop_entry(record: logging.LogRecord) -> bool:
    # The entry as the core made it, of which the record is made: it would be on each line a second time.
    record.__dict__.pop("temporal_log", None)
    return True
