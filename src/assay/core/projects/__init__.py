"""Who is calling, and what belongs to whom: organizations, projects, users, roles and API keys."""
