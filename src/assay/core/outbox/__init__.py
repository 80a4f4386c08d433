"""Work that must follow a commit: rows written in the same transaction, carried out afterwards, at least once."""
