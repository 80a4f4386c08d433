"""Jobs: work that scores, tunes and compares, by us or by a client that reports what it did."""
