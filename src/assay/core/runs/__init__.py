"""Runs: a suite version carried out against models, sample by sample.

An *item* is what is asked (a dataset row, its prompt and its target); a *sample* is one model's answer to it, with its
scores. Items and samples are rows made before the first call, so nothing can be lost or doubled; *chunks* of samples
are leased by the workers that carry them out.
"""
