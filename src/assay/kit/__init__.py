"""Small helpers that know nothing of evaluations: ids, time, JSON, errors. The lowest floor."""
