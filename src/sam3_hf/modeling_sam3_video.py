"""SAM 3 on videos: everything that matches a phrase, found on every frame and followed, with identities.

frame -> ViT, once -> detector, all phrases at once -> detections --.
                   -> tracker, all objects at once --> tracks ------+-> decisions -> memory of the session, results

The model holds weights alone; all that happens in a video is held by its session.
"""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.utils import logging

from sam3_hf.configuration_sam3_video import Sam3VideoConfig
from sam3_hf.following.clicking import answer_clicks, follow_touched
from sam3_hf.following.frame import process_frame
from sam3_hf.following.seeing import Parts, Scene, see
from sam3_hf.modeling_base import Sam3PreTrainedModel
from sam3_hf.modeling_sam3 import Sam3Model
from sam3_hf.modeling_sam3_tracker_video import Sam3TrackerVideoModel
from sam3_hf.ops.graphs import begin_frame, has_graphs, kept
from sam3_hf.video.concept_session import Sam3VideoInferenceSession
from sam3_hf.video.delay import Delay
from sam3_hf.video.memory_selection import Visit
from sam3_hf.video.results import Sam3VideoSegmentationOutput
from sam3_hf.vision.neck import Neck

_DIRECTIONS = {"forward": (False,), "backward": (True,), "both": (False, True)}


class Sam3VideoPreTrainedModel(Sam3PreTrainedModel):
    """Base class of the video model: its checkpoints hold all parts."""

    config_class = Sam3VideoConfig
    base_model_prefix = "sam3_video"
    input_modalities: ClassVar[Any] = ("video", "text")
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"embeddings\.position_ids$"]
    _no_split_modules: ClassVar[list[str]] = [
        *Sam3PreTrainedModel._no_split_modules,
        *Sam3TrackerVideoModel._no_split_modules,
    ]


class Sam3VideoModel(Sam3VideoPreTrainedModel):
    """Detector and tracker on one vision transformer, and the rules by which detections become objects.

    Args:
        config: Sizes of the parts, and the rules.
    """

    config: Sam3VideoConfig

    def __init__(self, config: Sam3VideoConfig) -> None:
        super().__init__(config)
        config._attn_implementation = config._attn_implementation  # so that every part has it
        self.detector_model = Sam3Model(config.detector_config)
        self.tracker_model = Sam3TrackerVideoModel(config.tracker_config, remove_vision_encoder=True)
        self.tracker_neck = Neck(config.tracker_config.vision_config)
        self._has_graphs = False
        self.post_init()
        self.eval()

    @classmethod
    def from_original(
        cls,
        checkpoint: str | Path,
        config: str | Path | PreTrainedConfig | None = None,
        *,
        dtype: str | torch.dtype | None = None,
        **options: Any,
    ) -> "Sam3VideoModel":
        """Load the whole model from a checkpoint of the original, without converting it first.

        Args:
            checkpoint: `sam3.pt`, or a safetensors file with the same names.
            config: Configuration of type `sam3_video`, or its JSON file, of a model that is not of the released size.
            dtype: Floating-point type, such as "bfloat16"; that of the checkpoint if not given.
            options: `device_map`, `attn_implementation` and others of `from_pretrained`.

        Raises:
            ValueError: The file cannot be read, or it does not fit the configuration.
        """
        # The converter stands above the models and builds on them; only this door looks up to it.
        from sam3_hf.conversion.original_video import read_original_video

        return cls._of_original(checkpoint, read_original_video(checkpoint, config, dtype), **options)

    def compile(self, *args: Any, **options: Any) -> None:
        """Compile the networks in place; arguments as `torch.compile`, also modes with CUDA graphs."""
        self._has_graphs = has_graphs(**options)
        for part in (self.detector_model.vision_encoder, self.detector_model, self.tracker_neck, self.tracker_model):
            part.compile(*args, **options)

    def get_input_embeddings(self) -> nn.Module:
        """The patch projection of the vision encoder."""
        return self.detector_model.get_input_embeddings()

    @torch.no_grad()
    def forward(
        self,
        inference_session: Sam3VideoInferenceSession,
        frame_idx: int | None = None,
        frame: Tensor | None = None,
        reverse: bool = False,
    ) -> Sam3VideoSegmentationOutput:
        """Go through one frame: answer what was said about single objects on it, or else find and follow everything.

        Args:
            inference_session: What is known of the video.
            frame_idx: Number of the frame; that of a streamed frame follows the last one if not given.
            frame: A streamed frame as the processor makes it, (3, side, side) or (1, 3, side, side).
            reverse: Whether time runs backwards.

        Raises:
            ValueError: Nothing is looked for, or there is no such frame.
        """
        session = inference_session
        if frame is not None:
            frame_idx = session.add_new_frame(frame, frame_idx)
        if frame_idx is None:
            raise ValueError("Pass frame_idx, the number of a frame of the video, or frame, a frame of a stream.")
        if frame_idx in session.pending:
            return answer_clicks(self._scene(session, frame_idx))
        _check_asked(session)
        return process_frame(self._scene(session, frame_idx, reverse))

    def propagate_in_video_iterator(
        self,
        inference_session: Sam3VideoInferenceSession,
        start_frame_idx: int = 0,
        max_frame_num_to_track: int | None = None,
        reverse: bool = False,
        show_progress_bar: bool = False,
        *,
        direction: str | None = None,
        only_clicked: bool = False,
    ) -> Iterator[Sam3VideoSegmentationOutput]:
        """Go through the video, and give each result as soon as it is known which of its objects last.

        Args:
            inference_session: What is known of the video.
            start_frame_idx: Where to start; going backwards, the first frame is the one before.
            max_frame_num_to_track: Frames after the first; all if not given.
            reverse: Whether to go backwards.
            show_progress_bar: Whether a bar shows how far it is.
            direction: "forward", "backward" or "both" (forward, then backward), instead of `reverse`.
            only_clicked: Follow only objects that were clicked since the last time, and those remembered with them; the
                detector is not asked, and all others stay as they are in the results that the session kept.

        Raises:
            ValueError: The session has no video, nothing is looked for, or there is no such frame or direction.
        """
        session = inference_session
        ways = _DIRECTIONS.get(direction or ("backward" if reverse else "forward"))
        if ways is None:
            raise ValueError(f"direction is one of {', '.join(_DIRECTIONS)}; got {direction!r}.")
        _check_asked(session)
        journeys = [_journey(session, start_frame_idx, max_frame_num_to_track, way) for way in ways]
        if only_clicked and not session.touched and not session.pending:
            raise ValueError("No object was clicked since the last propagation.")
        return self._propagate(session, list(zip(ways, journeys, strict=True)), only_clicked, show_progress_bar)

    @torch.no_grad()
    def step(self, inference_session: Sam3VideoInferenceSession, frame: Tensor) -> list[Sam3VideoSegmentationOutput]:
        """Go through the next frame of a stream; returns the results that are due, oldest first, at most one.

        A result is due once it is known which of its objects last: `hotstart_delay` - 1 frames after its own. Results
        are those that the same frames give as a video. `finish` gives those that are left.

        Args:
            inference_session: A session without a video.
            frame: The frame as the processor makes it, (3, side, side) or (1, 3, side, side).
        """
        session = inference_session
        self._answer_pending(session)
        session.touched.clear()
        session.delay = session.delay or Delay.of(self.config)
        return session.delay.add(self(session, frame=frame), session.register)

    def finish(self, inference_session: Sam3VideoInferenceSession) -> list[Sam3VideoSegmentationOutput]:
        """The results of a stream that are left; more frames may follow."""
        return inference_session.finish()

    @property
    def _parts(self) -> Parts:
        return Parts(self.detector_model, self.tracker_model, self.tracker_neck, self.config)

    def _scene(self, session: Sam3VideoInferenceSession, frame_idx: int, reverse: bool = False) -> Scene:
        """A frame to go through; what is seen on it is known already if it was looked at just before."""
        if self._has_graphs:
            begin_frame()
        if frame_idx not in session.features:
            sight = see(self._parts, session.get_frame(frame_idx))
            session.keep_features(frame_idx, kept(sight) if self._has_graphs else sight)
        visit = Visit(frame_idx, reverse, session.num_frames)
        return Scene(self._parts, session, session.features[frame_idx], visit)

    def _answer_pending(self, session: Sam3VideoInferenceSession) -> None:
        """Answer what was said about objects, wherever that was."""
        for frame_idx in sorted(session.pending):
            answer_clicks(self._scene(session, frame_idx))

    def _propagate(
        self,
        session: Sam3VideoInferenceSession,
        journeys: list[tuple[bool, range | Iterator[int]]],
        only_clicked: bool,
        show_progress_bar: bool,
    ) -> Iterator[Sam3VideoSegmentationOutput]:
        self._answer_pending(session)
        touched = set(session.touched)
        session.touched.clear()
        for reverse, frames in journeys:
            delay = Delay.of(self.config)
            for frame_idx in logging.tqdm(frames, desc="Frames", disable=not show_progress_bar):
                if session.frames is not None and not session.frames.has(frame_idx):
                    break
                if only_clicked:
                    yield follow_touched(self._scene(session, frame_idx, reverse), touched)
                else:
                    result = self(session, frame_idx=frame_idx, reverse=reverse)
                    yield from delay.add(result, session.register)
            yield from delay.flush(session.register)


def _check_asked(session: Sam3VideoInferenceSession) -> None:
    """Refuse to look for nothing."""
    if not session.phrases and not session.buckets and not session.pending:
        raise ValueError("Nothing is looked for yet: add a text, boxes or clicks to the session first.")


def _journey(session: Sam3VideoInferenceSession, start: int, most: int | None, reverse: bool) -> range | Iterator[int]:
    """Numbers of the frames to go through; without an end where the length of the video is not known.

    Raises:
        ValueError: There is no video, or no such start.
    """
    if session.frames is None:
        raise ValueError("This session has no video; pass frames one by one as they come, to `step`.")
    if not session.frames.has(start):
        raise ValueError(f"There is no frame {start} to start from; the video has {session.num_frames} frames.")
    if reverse:
        return range(start - 1, (0 if most is None else max(start - most, 0)) - 1, -1)
    if session.num_frames is None:
        return count(start) if most is None else range(start, start + most + 1)
    last = session.num_frames - 1
    return range(start, (last if most is None else min(start + most, last)) + 1)
