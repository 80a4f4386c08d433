"""What `assay demo` evaluates: a manifest, its rows, a grader, and the models' configuration. Data only."""
