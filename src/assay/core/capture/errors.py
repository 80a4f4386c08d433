"""What can be wrong with a request full of events, rather than with one of them."""

from __future__ import annotations

from collections.abc import Sequence

from assay.core.capture.types import MAX_EVENTS, Fault, Refusal
from assay.kit.errors import InvalidError, LimitError


class NoEventsError(InvalidError):
    """There is nothing to keep."""

    code = "no_events"

    def __init__(self) -> None:
        super().__init__("The request holds no events.")


class TooManyEventsError(LimitError):
    """One request holds too many events."""

    code = "too_many_events"

    def __init__(self, count: int) -> None:
        super().__init__(f"The request holds {count} events; send at most {MAX_EVENTS} at a time.")


class AllRefusedError(InvalidError):
    """Not one event of the request could be kept."""

    code = "all_events_refused"

    def __init__(self, refused: Sequence[Refusal]) -> None:
        first = refused[0]
        place = "" if len(refused) == 1 else f"event {first.index}: "
        super().__init__(f"{place}{first.reason}", data={"refused": len(refused)})


class OversizedError(LimitError):
    """Not one event of the request could be kept, because they are too large."""

    code = "event_too_large"

    def __init__(self, refused: Sequence[Refusal]) -> None:
        super().__init__(refused[0].reason)


def all_refused(refused: Sequence[Refusal]) -> AllRefusedError | OversizedError:
    """The error for a request without a good event, for clients that are told of the request as a whole."""
    return (OversizedError if refused[0].fault is Fault.TOO_LARGE else AllRefusedError)(refused)


class UndecodableError(InvalidError):
    """The body is not what its form says, or no JSON."""

    code = "undecodable"


class UnsupportedEncodingError(InvalidError):
    """The body is compressed in a way that is not read here."""

    code = "unsupported_encoding"

    def __init__(self, encoding: str) -> None:
        super().__init__(
            f"Bodies in the encoding `{encoding[:32]}` are not read here. Send gzip, deflate, or no compression."
        )


class InflatedError(LimitError):
    """The body is larger than allowed once it is decompressed."""

    code = "body_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body is larger than {limit} bytes once it is decompressed. Send smaller batches.")
