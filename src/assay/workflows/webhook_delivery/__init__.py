"""The ``webhook_delivery`` workflow: one for each endpoint and run, delivering the run's events in order."""
