"""Models that Assay makes up, for demos, load tests and dry runs without a key.

A simulated model draws from a seeded generator keyed by (model, prompt, repeat, attempt), so the same request always
gets the same reply, the same latency and the same faults. It does not think: right answers come from rules, from an
answer key, or from small built-in skills, and its accuracy says how often it gives them. Every reply says that it is
simulated, by its provider's name and by its id (``resp_sim_…``).
"""
