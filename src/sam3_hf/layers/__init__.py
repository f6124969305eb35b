"""Modules that two rooms or more are built from."""
