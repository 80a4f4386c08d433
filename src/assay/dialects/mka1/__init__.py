"""The ``mka1`` dialect: evals, files, models. Contract: ``meetkai-mka1`` 0.12.128, OpenAPI document 1.1.0."""
