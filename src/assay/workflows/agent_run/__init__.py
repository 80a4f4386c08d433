"""The durable workflow that carries an agent's run out."""
