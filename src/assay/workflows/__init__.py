"""How things run durably: workflows decide, activities do, the database remembers."""
