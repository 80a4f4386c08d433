"""What Assay does, by feature. No HTTP, no Temporal, no dialect words."""
