"""Conversations: items in order, which responses go on from and add to."""
