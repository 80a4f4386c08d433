"""Finding a better prompt without fooling anybody: pure rules, with models and scorers given from outside.

    splits.py  one split, once: train, validation, sealed test
    leaks.py   answers that a candidate has copied
    guard.py   cases that got worse
    search.py  the loop: propose → compare on train → test on validation → keep or discard; measure once

What makes the result honest: proposals see only the training cases; a candidate is kept only when a paired test on the
same validation cases says that it is better, at a level that is divided by the number of looks; and the winner is
measured once, on cases that nothing was chosen by.
"""

from assay.scoring.optimization.guard import GuardVerdict, Regression, check_regression
from assay.scoring.optimization.leaks import CopiedAnswer, find_copied_answers
from assay.scoring.optimization.search import (
    Brief,
    Candidate,
    Outcome,
    Proposal,
    Reason,
    Round,
    SealedMeasurement,
    SearchSettings,
    Setting,
    search,
)
from assay.scoring.optimization.splits import Split, split_items

__all__ = [
    "Brief",
    "Candidate",
    "CopiedAnswer",
    "GuardVerdict",
    "Outcome",
    "Proposal",
    "Reason",
    "Regression",
    "Round",
    "SealedMeasurement",
    "SearchSettings",
    "Setting",
    "Split",
    "check_regression",
    "find_copied_answers",
    "search",
    "split_items",
]
