"""Judging by models: pure functions from questions to prompts, and from replies to judgements.

    questions.py   what may be asked: rubrics, checklists, pairs
    material.py    what is judged, as marked data
    schemas.py     the form of a reply
    prompts.py     what a judge is told
    objects.py     JSON objects in what a model wrote
    reading.py     from a reply to a judgement, or to a failure
    judgements.py  what a reply comes to
    voting.py      repeats, panels and orders
    scores.py      judgements as numbers
    judges.py      a judge and its version

Whoever has a gateway asks: `build_prompt` → the model → `read_reply` → `Judge.decide` → `scores_of`. Suites, online
evaluation and jobs all judge this way.
"""

from assay.scoring.judge.judgements import (
    FailureKind,
    ItemOutcome,
    Judgement,
    Preference,
    Reading,
    Unreadable,
)
from assay.scoring.judge.judges import Ask, Judge, PanelVote
from assay.scoring.judge.material import MAX_MATERIAL_CHARACTERS, Material, Part, mark
from assay.scoring.judge.prompts import PROMPT_VERSION, JudgePrompt, Order, build_prompt, pair_parts
from assay.scoring.judge.questions import (
    BooleanScale,
    CategoricalScale,
    CheckItem,
    Checklist,
    NumericScale,
    Option,
    Pairwise,
    Question,
    Rubric,
    Scale,
)
from assay.scoring.judge.reading import read_reply
from assay.scoring.judge.schemas import reply_schema, response_format
from assay.scoring.judge.scores import metric_ids, scores_of
from assay.scoring.judge.voting import Vote, join_orders, take_vote

__all__ = [
    "MAX_MATERIAL_CHARACTERS",
    "PROMPT_VERSION",
    "Ask",
    "BooleanScale",
    "CategoricalScale",
    "CheckItem",
    "Checklist",
    "FailureKind",
    "ItemOutcome",
    "Judge",
    "JudgePrompt",
    "Judgement",
    "Material",
    "NumericScale",
    "Option",
    "Order",
    "Pairwise",
    "PanelVote",
    "Part",
    "Preference",
    "Question",
    "Reading",
    "Rubric",
    "Scale",
    "Unreadable",
    "Vote",
    "build_prompt",
    "join_orders",
    "mark",
    "metric_ids",
    "pair_parts",
    "read_reply",
    "reply_schema",
    "response_format",
    "scores_of",
    "take_vote",
]
