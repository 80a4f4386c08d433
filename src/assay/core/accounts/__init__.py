"""People who come in by a browser: sessions, and passwords of local accounts."""
