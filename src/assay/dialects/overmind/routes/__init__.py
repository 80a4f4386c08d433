"""Routes by topic."""
