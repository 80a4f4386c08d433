"""Labels by people, and what they say about a judge: how far it agrees, and the true rate behind its rate."""
