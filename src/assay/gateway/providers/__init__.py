"""The protocols that models are reached by.

Each protocol is a ``Provider``: it translates a request once (``prepare_…``) and gives back a function that makes one
attempt. Retries, limits, prices and the cache are the gateway's, so a provider knows nothing of them.
"""
