"""Uploaded files and run artifacts: their rows, and their content in a folder or a bucket."""
