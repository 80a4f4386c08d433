"""The ``job`` workflow: carries out one execution of a job."""
