"""What applications send: bodies of every form that the vendor's clients have had, and OTLP (P§6)."""
