"""Datasets: the rows that tasks are made of."""
