"""Datasets of the Hugging Face Hub: which files they are, getting them, and reading them in a process of their own."""
