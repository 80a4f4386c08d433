"""transcription: how many words and characters of what was said did the answer get wrong?

Error rates are those of ``jiwer``: the fewest substitutions, deletions and insertions that turn the reference into the
answer, divided by the reference's words (``wer``) or characters, spaces included (``cer``). Lower is better, 0 is
perfect, and an answer with many words too many passes 1. ``corpus_wer`` and ``corpus_cer`` divide the sums over all
samples, as papers report them; see ``pooling``.

Both texts are normalized first, since transcripts differ in spelling habits that nobody can hear:

1. Unicode NFKC, then lower case.
2. Typographic apostrophes become ``'``; apostrophes between letters or digits stay.
3. All other punctuation and symbols become spaces, except decimal points and commas between digits.
4. White space becomes single spaces, none at the ends.

Numbers and abbreviations stay as they are written. Languages without spaces between words have no ``wer`` worth the
name; ``cer`` is the one to read.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import regex

from assay.scoring.scores import NO_TARGET, AnswerFault, Score, Scored, ScoredOutput, Unscored, UnscoredReason

LONGEST_TEXT: Final = 100_000
"""Characters, of a normalized reference or answer; of a longer answer the beginning is compared."""

_APOSTROPHES: Final = str.maketrans({mark: "'" for mark in "\u2018\u2019\u02bc\u0060\u00b4"})
_NOISE: Final = regex.compile(
    r"""
    (?<=[\p{L}\p{M}\p{N}])'(?=[\p{L}\p{M}\p{N}])(*SKIP)(*FAIL)    # it's
    | (?<=\p{N})[.,](?=\p{N})(*SKIP)(*FAIL)                        # 3.5
    | [\p{P}\p{S}]
    """,
    regex.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class TranscriptScorer:
    """Word and character error rate, and the counts that the corpus's rates are made of."""

    @property
    def version(self) -> str:
        """See :class:`Scorer`."""
        return "transcription/1"

    @property
    def metric_ids(self) -> tuple[str, ...]:
        """See :class:`Scorer`."""
        return ("wer", "cer")

    @property
    def blocks(self) -> bool:
        """See :class:`Scorer`."""
        return True

    def score(self, output: ScoredOutput) -> Score:
        """See :class:`Scorer`."""
        if output.target is None or not output.target.strip():
            return NO_TARGET
        reference = normalize_transcript(output.target)
        if not reference:
            return Unscored(UnscoredReason.INVALID_TARGET, "Nothing is left of the target without its punctuation.")
        if len(reference) > LONGEST_TEXT:
            message = f"The target has {len(reference):,} characters; at most {LONGEST_TEXT:,} are compared."
            return Unscored(UnscoredReason.INVALID_TARGET, message)
        answer = output.extracted_output
        heard = "" if answer is None else normalize_transcript(answer)[:LONGEST_TEXT]
        words, characters = count_word_errors(reference, heard), count_character_errors(reference, heard)
        scores = {"wer": error_rate(words), "cer": error_rate(characters)}
        fault = AnswerFault.NOT_EXTRACTED if answer is None else None
        return Scored(scores, fault, statistics={"wer": words, "cer": characters})


def normalize_transcript(text: str) -> str:
    """A transcript as it is compared; see the module."""
    plain = unicodedata.normalize("NFKC", text).translate(_APOSTROPHES).lower()
    return " ".join(_NOISE.sub(" ", plain).split())


def count_word_errors(reference: str, answer: str) -> tuple[int, int]:
    """Wrong words, and words of the reference, of two normalized texts."""
    return _counts(_library().process_words(reference, answer))


def count_character_errors(reference: str, answer: str) -> tuple[int, int]:
    """Wrong characters, and characters of the reference, of two normalized texts."""
    return _counts(_library().process_characters(reference, answer))


def error_rate(counts: Sequence[int]) -> float:
    """Errors for each word or character of the reference."""
    errors, length = counts
    return errors / length


def _counts(found: Any) -> tuple[int, int]:
    return found.substitutions + found.deletions + found.insertions, found.hits + found.substitutions + found.deletions


@cache
def _library() -> Any:
    import jiwer

    return jiwer
