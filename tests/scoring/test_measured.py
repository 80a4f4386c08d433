"""What `make statistics` wrote: it is as promised, the page says it, and a part of it is measured again here."""

from __future__ import annotations

import json
import math

import pytest
from benchmarks.statistics import BEGIN, END, GROUPS, PAGE, RECORD, Simulation, error_of, share, table

WRITTEN: dict[str, float] = json.loads(RECORD.read_text(encoding="utf-8"))
ALL = [simulation for simulations in GROUPS.values() for simulation in simulations]
QUICK = [
    simulation
    for simulation in ALL
    if simulation.name.startswith(("Wilson", "Student", "paired t", "McNemar", "Holm", "Rogan", "pass", "judged"))
]
TRIALS = 200


def test_every_simulation_is_written() -> None:
    assert list(WRITTEN) == [simulation.name for simulation in ALL]


@pytest.mark.parametrize("simulation", ALL, ids=lambda simulation: simulation.name)
def test_what_was_measured_is_as_promised(simulation: Simulation) -> None:
    assert simulation.low <= WRITTEN[simulation.name] <= simulation.high


def test_the_page_says_what_was_measured() -> None:
    written = PAGE.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0].strip()
    assert written == table(WRITTEN)


@pytest.mark.parametrize("simulation", QUICK, ids=lambda simulation: simulation.name)
def test_a_part_of_it_measured_again(simulation: Simulation) -> None:
    expected = WRITTEN[simulation.name]
    error = math.hypot(error_of(expected, TRIALS), error_of(expected, simulation.trials))
    assert share(simulation, trials=TRIALS) == pytest.approx(expected, abs=4 * error)
