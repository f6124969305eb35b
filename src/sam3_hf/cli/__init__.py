"""The command line, `sam3-hf`; heavy imports stay inside the commands."""

from sam3_hf.cli.app import main

__all__ = ["main"]
