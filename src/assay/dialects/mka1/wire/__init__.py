"""The dialect's JSON, as Pydantic models. Response models have no defaults: every key is always there (M§1.6)."""
