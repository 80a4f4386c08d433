"""Asking judges: the gateway's side of `assay.scoring.judge`, for suites, online evaluation and jobs."""
