"""Judging production traffic: pure functions over captured events.

    events.py      what an event is, and where its input and output are
    rendering.py   messages as text, for judges and previews
    variables.py   what a program sees of an event
    conditions.py  which events an evaluation fires for
    operators.py   the operators of its filters

Nothing here reads a clock, a database or the network.
"""

from assay.scoring.online.conditions import Condition, Decision, PropertyFilter, decide, sampling_percentage
from assay.scoring.online.events import Event, event_input, event_output
from assay.scoring.online.operators import FilterError
from assay.scoring.online.rendering import preview, render
from assay.scoring.online.variables import TargetFacts, generation_variables, target_variables

__all__ = [
    "Condition",
    "Decision",
    "Event",
    "FilterError",
    "PropertyFilter",
    "TargetFacts",
    "decide",
    "event_input",
    "event_output",
    "generation_variables",
    "preview",
    "render",
    "sampling_percentage",
    "target_variables",
]
