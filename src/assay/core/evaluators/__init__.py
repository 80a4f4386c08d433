"""Evaluators: what judges production traffic, and the provider keys with which judges call models."""
