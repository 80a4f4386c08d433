"""The PostgreSQL and Temporal that Assay starts itself when none is configured. Linux and macOS."""
