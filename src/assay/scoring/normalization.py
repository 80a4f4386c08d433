"""Two ways of making texts comparable: SQuAD's for free answers, and a lighter one for labels."""

from __future__ import annotations

import re
import string
from typing import Final

_ARTICLES: Final = re.compile(r"\b(?:a|an|the)\b")
_NO_PUNCTUATION: Final = str.maketrans("", "", string.punctuation)
_LABEL_WRAPPING: Final = " \t\r\n*_`\"'“”‘’.,:;!?()[]{}<>"
"""What models put around a label. Signs that can tell labels apart (``+ - # % $``) stay."""


def normalize_squad(text: str) -> str:
    """Lower case, without ASCII punctuation and English articles, with single spaces.

    The steps and their order are those of the SQuAD evaluation script (Rajpurkar et al. 2016, ``normalize_answer``):
    lower case, punctuation, articles, white space. ``The U.S.-based firm!`` becomes ``usbased firm``.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def normalize_label(text: str) -> str:
    """Case-folded, with single spaces, without quotes, brackets, markdown marks and punctuation around it.

    ``**Not toxic.**`` and ``not  toxic`` become the same. A text made of such marks alone keeps them, so that a label
    like ``?`` stays a label.
    """
    folded = " ".join(text.casefold().split())
    return folded.strip(_LABEL_WRAPPING) or folded
