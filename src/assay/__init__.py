"""Assay: continuous evaluation and improvement of LLM applications and agents."""
