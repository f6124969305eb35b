"""Packages of an extra, imported when they are needed.

name -> module, or an error that says how to install it
"""

from importlib import import_module
from typing import Any


def needed(name: str, extra: str) -> Any:
    """A module of the extra.

    Raises:
        ImportError: It is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise ImportError(f"This needs {package} ({error}): pip install 'sam3-hf[{extra}]'") from error
