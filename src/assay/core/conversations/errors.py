"""What can be wrong with conversations.

NotFoundError
├── ConversationNotFoundError
└── ConversationItemNotFoundError
InvalidError
├── ItemError           an item is wrong, or of a kind that models cannot be told
└── TooManyItemsError   more than one call may add, or a conversation may hold
"""

from __future__ import annotations

from assay.kit.errors import InvalidError, NotFoundError


class ConversationNotFoundError(NotFoundError):
    """No such conversation is visible to the caller."""

    code = "conversation_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such conversation.", param="conversation")


class ConversationItemNotFoundError(NotFoundError):
    """The conversation has no such item."""

    code = "conversation_item_not_found"

    def __init__(self) -> None:
        super().__init__("The conversation has no such item.", param="item_id")


class ItemError(InvalidError):
    """An item cannot be understood."""

    code = "invalid_item"


class TooManyItemsError(InvalidError):
    """More items than are allowed."""

    code = "too_many_items"
