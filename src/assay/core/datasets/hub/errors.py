"""What can be wrong with a dataset of the hub.

InvalidError
├── HubDatasetError       there is no such dataset or part, or it cannot be read
├── HubTooLargeError      it is larger than is allowed
└── MissingExtraError     the libraries that read it are not installed
ConflictError
└── HubChangedError       it is no longer what the run began with
UnavailableError
└── HubUnavailableError   the hub does not answer at the moment
"""

from __future__ import annotations

from assay.kit.errors import ConflictError, InvalidError, UnavailableError


class HubDatasetError(InvalidError):
    """A dataset that does not exist, is gated, has no such part, or cannot be read."""

    code = "hub_dataset"


class HubTooLargeError(InvalidError):
    """A part whose files are larger than ``ASSAY_HUB_MAX_BYTES``, or that takes too long."""

    code = "hub_dataset_too_large"


class MissingExtraError(InvalidError):
    """What reads Hugging Face datasets and Parquet files is an extra, and not installed beside the worker."""

    code = "hf_extra_missing"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} cannot be read here: the extra `hf` is not installed. Install it where the worker runs "
            "(`pip install 'assay[hf]'`), start the worker again, and retry the run."
        )


class HubChangedError(ConflictError):
    """The folder holds other rows than when the run began."""

    code = "hub_dataset_changed"


class HubUnavailableError(UnavailableError):
    """The hub cannot be reached, or says that it is busy."""

    code = "hub_unavailable"
