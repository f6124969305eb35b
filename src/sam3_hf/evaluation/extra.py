"""The packages of the extra `eval`, imported when they are needed.

name -> module, or an error that says how to install it
"""

from importlib import import_module
from types import ModuleType


def needed(name: str) -> ModuleType:
    """A module of the extra `eval`.

    Raises:
        ImportError: It is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        package = name.split(".", maxsplit=1)[0]
        raise ImportError(
            f"Evaluation needs {package}, which cannot be imported ({error}); pip install 'sam3-hf[eval]'"
        ) from error
