"""The ``online_evaluation`` workflow: one for each project and track, carrying the project's ledger out."""
