"""Historical results: what lm-evaluation-harness left in a repository of files becomes completed runs (M§2.13)."""
