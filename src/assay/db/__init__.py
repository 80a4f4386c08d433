"""Engine, sessions, column types and migrations. The tables themselves live with their features."""
