"""Which way up: what a video file says about how its frames are to be turned and mirrored.

display matrix of a frame -> Turn -> pixels [H, W, 3] as they are to be seen
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8


class Turn(NamedTuple):
    """Rows and columns change places, or not; then they are read backwards, or not."""

    swapped: bool = False
    rows_backwards: bool = False
    columns_backwards: bool = False

    @classmethod
    def of(cls, picture: Any) -> "Turn":
        """As the display matrix of a decoded frame says; quarter turns and mirrors only."""
        matrix = picture.side_data.get("DISPLAYMATRIX")
        if matrix is None:
            return cls()
        # Where a pixel at column x, row y is shown: column a x + c y, row b x + d y.
        a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
        if abs(b) > abs(a):
            return cls(True, rows_backwards=b < 0, columns_backwards=c < 0)
        return cls(False, rows_backwards=d < 0, columns_backwards=a < 0)

    def apply(self, pixels: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "_ _ 3"]:
        """A view of the pixels."""
        turned = pixels.swapaxes(0, 1) if self.swapped else pixels
        return turned[:: -1 if self.rows_backwards else 1, :: -1 if self.columns_backwards else 1]
