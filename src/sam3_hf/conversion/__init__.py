"""Conversion between the original's checkpoints and the Hugging Face layout."""
