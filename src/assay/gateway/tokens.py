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
    return len(_encoding().encode_ordinary(text))
