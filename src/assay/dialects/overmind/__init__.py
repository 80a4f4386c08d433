"""The ``overmind`` dialect: jobs and what they work on."""
