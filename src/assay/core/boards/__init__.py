"""Boards: the runs of a suite set against each other, worked out from the samples whenever they are asked for."""
