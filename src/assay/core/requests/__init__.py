"""Requests that were carried out and may be sent again: each is answered twice and done once."""
