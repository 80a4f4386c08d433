"""The edge that all dialects share: one request is one transaction, done once, committed before it is answered."""
