"""Carrying out responses and agents' runs durably."""
