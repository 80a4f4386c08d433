"""The published APIs, each a set of routers. Dialects never import each other; what all need is in ``edge``."""
