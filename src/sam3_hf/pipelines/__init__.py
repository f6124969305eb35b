"""Whole tasks, from an image to results."""
