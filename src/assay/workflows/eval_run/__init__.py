"""One run of a suite, from its rows to its metrics."""
