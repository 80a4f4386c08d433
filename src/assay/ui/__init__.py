"""The web UI: pages rendered on the server, on the same address as the APIs.

Pages are HTML that works before any script runs; one small script keeps progress moving and tables growing. They do
what an API's route does: find the caller, open one transaction, call the same core services, commit, answer.
"""
