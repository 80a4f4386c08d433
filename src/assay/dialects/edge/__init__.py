"""The edge that all dialects share: one request is one transaction, carried out once, committed before it is answered."""
