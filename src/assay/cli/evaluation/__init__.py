"""What `assay demo`, `assay run` and `assay runs` share: they drive evaluations through the HTTP API, as any client.

target     which server: one by its address, the one that runs on this home, or one for the time of the command
suitefile  a manifest as people write it: YAML or JSON, with local paths
publish    uploads, suite, version
follow     waiting for a run's end, with a progress display
summary    results as rows, comparisons, thresholds
report     what is printed and saved

Nothing here knows the database: what these commands can do, every client can.
"""
