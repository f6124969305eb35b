"""Text encoder: a noun phrase becomes tokens."""
