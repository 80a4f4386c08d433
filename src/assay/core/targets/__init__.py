"""What jobs work on: agents as their eval spec describes them, their prompts, dataset versions and suggestions."""
