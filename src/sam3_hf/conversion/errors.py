"""What a converter says when it cannot go on."""


class ConversionError(ValueError):
    """The message names the cause and what to pass instead."""
