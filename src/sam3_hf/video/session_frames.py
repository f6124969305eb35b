"""Frames of a session: a video that is read as needed, or a stream; as the model takes them, where the model is.

Frames [3, S, S], or frames of a stream -> number -> frame in the model's type, on its device
"""

import torch
from jaxtyping import Float
from torch import Tensor

from sam3_hf.video.frames import Frames


class SessionFrames:
    """What both kinds of sessions know of their frames.

    Args:
        frames: The video; none for a stream.
        size: Height and width of the video in pixels, as far as they are known.
        inference_device: Where the model is.
        dtype: Type of the model.
        max_vision_features_cache_size: Of how many frames features are kept.
    """

    def __init__(
        self,
        frames: Frames | None,
        size: tuple[int | None, int | None],
        inference_device: torch.device | str,
        dtype: torch.dtype | str,
        max_vision_features_cache_size: int,
    ) -> None:
        self.frames = frames
        self.video_height, self.video_width = size
        self.inference_device = torch.device(inference_device)
        self.dtype: torch.dtype = getattr(torch, dtype) if isinstance(dtype, str) else dtype
        self.max_vision_features_cache_size = max(1, max_vision_features_cache_size)

    @property
    def num_frames(self) -> int | None:
        """How many frames the video has, if that is known."""
        return None if self.frames is None else self.frames.length

    @property
    def video_size(self) -> tuple[int, int] | None:
        """Height and width in pixels, if they are known."""
        if self.video_height is None or self.video_width is None:
            return None
        return self.video_height, self.video_width

    def has_frame(self, number: int) -> bool:
        """Whether the video reaches so far."""
        return self.frames is not None and self.frames.has(number)

    def get_frame(self, frame_idx: int) -> Float[Tensor, "3 S S"]:
        """A frame as the model takes it, on the model's device.

        Raises:
            ValueError: There is no such frame, or it was let go.
        """
        frame = self._streamed_frame(frame_idx) if self.frames is None else self.frames.read(frame_idx)[0]
        return frame.to(self.inference_device, self.dtype, non_blocking=True)

    def _streamed_frame(self, frame_idx: int) -> Float[Tensor, "3 S S"]:
        """A frame of a stream, if it is kept."""
        raise NotImplementedError
