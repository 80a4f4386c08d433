"""Taking in what applications send: checking each event by itself, and keeping the good ones at once."""
