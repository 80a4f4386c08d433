"""Token counts for text whose usage nobody reported, by OpenAI's ``o200k_base``.

One ruler for all models, not billing data. The tables ship with ``bpe-openai``; loading them takes some hundred
milliseconds, so it happens at the first count.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bpe_openai import Encoding

ENCODING = "o200k_base"
LONGEST_PIECE = 50_000
"""Characters that are counted at once, by 200,000 bytes at most; a longer text may be off by a token at each cut."""


@cache
def _encoding() -> Encoding:
    with warnings.catch_warnings():
        # It reads its tables by a function that Python 3.11 and 3.12 call deprecated and 3.13 does not.
        warnings.simplefilter("ignore", DeprecationWarning)
        from bpe_openai import get_encoding

    return get_encoding(ENCODING)


def count_tokens(text: str) -> int:
    """Number of ``o200k_base`` tokens; texts that look like control tokens count as ordinary text.

    CPU-bound, roughly a microsecond for each token: count long texts in a thread.
    """
    encode = _encoding().encode_ordinary
    return sum(len(encode(text[start : start + LONGEST_PIECE])) for start in range(0, len(text), LONGEST_PIECE))
