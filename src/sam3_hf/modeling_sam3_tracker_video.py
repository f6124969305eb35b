"""SAM 3 on single objects through a video: pointed at once, followed by memory.

frame -> vision encoder, once per frame -> image --.
prompts of the session ----------------------------+-> masks, scores, pointers -> memory of the session
memory of the session, of earlier frames ----------'

The model holds weights alone; all that happens in a video is held by its session.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers import initialization as init

from sam3_hf.configuration_sam3_tracker_video import Sam3TrackerVideoConfig, as_video_tracker
from sam3_hf.modeling_outputs import Sam3TrackerVideoSegmentationOutput
from sam3_hf.modeling_sam3_tracker import Sam3TrackerModel, Sam3TrackerPreTrainedModel
from sam3_hf.ops.graphs import begin_frame, has_graphs, kept
from sam3_hf.tracker.mask_decoder import ImageLevels
from sam3_hf.tracker.memory_encoder import FuserLayer
from sam3_hf.tracker.video_tracker import VideoTracker
from sam3_hf.tracker.visiting import answer_prompts, visit_frame
from sam3_hf.video.memory_selection import Visit
from sam3_hf.video.session import Sam3TrackerVideoInferenceSession
from sam3_hf.vision.encoder import Sam3VisionModel


class Sam3TrackerVideoPreTrainedModel(Sam3TrackerPreTrainedModel):
    """Base class of the video tracker: what its checkpoints call its parts."""

    config_class = Sam3TrackerVideoConfig
    base_model_prefix = "tracker_model"
    input_modalities: ClassVar[Any] = ("video",)
    _no_split_modules: ClassVar[list[str]] = [
        *Sam3TrackerPreTrainedModel._no_split_modules,
        "MemoryAttentionLayer",
        "MemoryEncoder",
    ]
    # The allow-list of `from_pretrained`: the rest of the detector.
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"^detector_model\."]

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, FuserLayer):
            init.constant_(module.scale, module.initial_scale)


class Sam3TrackerVideoModel(VideoTracker, Sam3TrackerVideoPreTrainedModel, Sam3TrackerModel):
    """Objects that points, boxes or masks show on some frames, followed through all others.

    Args:
        config: Sizes of the model; a `sam3_video` configuration gives its tracker.
        remove_vision_encoder: Leave out the vision encoder, where another model's features are passed to the parts.
    """

    config: Sam3TrackerVideoConfig

    def __init__(self, config: PreTrainedConfig, remove_vision_encoder: bool = False) -> None:
        config = as_video_tracker(config)
        super(Sam3TrackerModel, self).__init__(config)
        config._attn_implementation = config._attn_implementation  # so that every part has it
        width, memory_width = config.prompt_encoder_config.hidden_size, config.memory_encoder_output_channels
        if width % memory_width:
            raise ValueError(f"Pointers of {width} channels cannot be cut into memories of {memory_width}.")
        self.vision_encoder = None if remove_vision_encoder else Sam3VisionModel(config.vision_config)
        self.add_parts(config)
        self.add_memory(config)
        self._has_graphs = False
        self.post_init()

    @classmethod
    def from_original(
        cls,
        checkpoint: str | Path,
        config: str | Path | PreTrainedConfig | None = None,
        *,
        dtype: str | torch.dtype | None = None,
        **options: Any,
    ) -> "Sam3TrackerVideoModel":
        """Load the video tracker from a checkpoint of the original; arguments as `Sam3TrackerModel.from_original`."""
        # The converter stands above the models and builds on them; only this door looks up to it.
        from sam3_hf.conversion.original_tracker import read_original_tracker

        original = read_original_tracker(checkpoint, config, dtype, for_videos=True)
        return cls._of_original(checkpoint, original, **options)

    def compile(self, *args: Any, **options: Any) -> None:
        """Compile the networks in place; arguments as `torch.compile`. What a session holds and decides stays as it is.

        Sizes that grow with memory are compiled anew on the first frames. With CUDA graphs (mode "reduce-overhead"), a
        frame begins with `torch.compiler.cudagraph_mark_step_begin`, and what the session keeps is copied.
        """
        self._has_graphs = has_graphs(**options)
        parts = (self.vision_encoder, self.memory_attention, self.memory_encoder, self.mask_decoder)
        for part in (each for each in parts if each is not None):
            part.compile(*args, **options)

    @torch.inference_mode()
    def forward(
        self,
        inference_session: Sam3TrackerVideoInferenceSession,
        frame_idx: int | None = None,
        frame: Tensor | None = None,
        reverse: bool = False,
        run_mem_encoder: bool = True,
    ) -> Sam3TrackerVideoSegmentationOutput:
        """Find all objects of a session on one frame, and remember it.

        Args:
            inference_session: What is known of the video.
            frame_idx: Number of the frame; that of a streamed frame follows the last one if not given.
            frame: A streamed frame as the processor makes it, (3, side, side) or (1, 3, side, side).
            reverse: Whether time runs backwards.
            run_mem_encoder: Whether the frame is remembered; otherwise its prompts wait on.

        Raises:
            ValueError: There are no objects, or there is no such frame.
        """
        if not inference_session.objects:
            raise ValueError("There is no object to follow yet: add inputs to the session first.")
        number = self._open(inference_session, frame_idx, frame)
        return self._visit(inference_session, number, reverse, run_mem_encoder)

    def propagate_in_video_iterator(
        self,
        inference_session: Sam3TrackerVideoInferenceSession,
        start_frame_idx: int | None = None,
        max_frame_num_to_track: int | None = None,
        reverse: bool = False,
        show_progress_bar: bool = False,
    ) -> Iterator[Sam3TrackerVideoSegmentationOutput]:
        """Follow all objects of a session through its video, frame after frame.

        Args:
            inference_session: What is known of the video.
            start_frame_idx: Where to start; on the first frame with a prompt if not given.
            max_frame_num_to_track: Frames after the first one; all if not given.
            reverse: Whether time runs backwards.
            show_progress_bar: Whether a bar shows how far it is.

        Raises:
            ValueError: The session has no video, or no object was ever prompted.
        """
        numbers = inference_session.journey(start_frame_idx, max_frame_num_to_track, reverse)
        for number in inference_session.ahead(numbers[0]):
            self._answer_waiting(inference_session, number)
        for number in _with_bar(numbers, show_progress_bar):
            if not inference_session.has_frame(number):
                return
            yield self(inference_session, frame_idx=number, reverse=reverse)

    def track(
        self,
        inference_session: Sam3TrackerVideoInferenceSession,
        frames: Iterable[Tensor] | None = None,
        start_frame_idx: int | None = None,
        direction: str = "forward",
    ) -> Iterator[Sam3TrackerVideoSegmentationOutput]:
        """Follow all objects, through the session's video or through frames as they come.

        Objects may be added, corrected and removed between any two frames.

        Args:
            inference_session: What is known of the video.
            frames: A stream of frames as the processor makes them; the session's video if not given.
            start_frame_idx: Where to start in the session's video; on the first frame with a prompt if not given.
            direction: "forward", "backward", or "both", which is forward first.

        Raises:
            ValueError: Unknown direction, or a stream with a direction or a start.
        """
        if direction not in ("forward", "backward", "both"):
            raise ValueError(f'A direction is "forward", "backward" or "both"; got {direction!r}.')
        if frames is not None and (direction != "forward" or start_frame_idx is not None):
            raise ValueError("A stream starts at its next frame and runs forward; leave out start and direction.")
        if frames is not None:
            yield from self._stream(inference_session, frames)
            return
        start = inference_session.journey(start_frame_idx, None, False)[0]
        if direction != "backward":
            yield from self.propagate_in_video_iterator(inference_session, start)
        if direction != "forward":
            backward = self.propagate_in_video_iterator(inference_session, start, reverse=True)
            yield from (seen for seen in backward if direction == "backward" or seen.frame_idx != start)

    def _stream(
        self, session: Sam3TrackerVideoInferenceSession, frames: Iterable[Tensor]
    ) -> Iterator[Sam3TrackerVideoSegmentationOutput]:
        """One result per frame, also while there is nothing to follow yet."""
        for frame in frames:
            with torch.inference_mode():
                number = self._open(session, None, frame)
                result = self._visit(session, number, False, True)
            yield result

    def _open(self, session: Sam3TrackerVideoInferenceSession, number: int | None, frame: Tensor | None) -> int:
        """Number of a frame whose features the session now has."""
        if self._has_graphs:
            begin_frame()
        if frame is not None:
            if frame.ndim not in (3, 4) or frame.shape[-3] != 3 or (frame.ndim == 4 and len(frame) != 1):
                raise ValueError(f"A frame has shape (3, side, side) or (1, 3, side, side); got {tuple(frame.shape)}.")
            number = session.add_new_frame(frame, number)
        if number is None:
            raise ValueError("Pass frame_idx, the number of a frame of the session's video, or a new frame.")
        session.features(number, lambda: self._look(session.get_frame(number) if frame is None else frame))
        return number

    def _look(self, pixels: Tensor) -> ImageLevels:
        """What the tracker sees in one frame."""
        if self.vision_encoder is None:
            raise ValueError("This tracker has no vision encoder; load it without remove_vision_encoder.")
        batch = pixels.to(self.device, self.dtype).reshape(1, *pixels.shape[-3:])
        image = self.see(self.vision_encoder(batch, coarsest=1.0).fpn_hidden_states)
        return kept(image) if self._has_graphs else image

    @torch.inference_mode()
    def _answer_waiting(self, session: Sam3TrackerVideoInferenceSession, number: int) -> None:
        """Answer the prompts of a frame, without a look at the objects that have none."""
        image = session.seen[self._open(session, number, None)]
        answer_prompts(self, session, image, Visit(number, False, session.num_frames))

    def _visit(
        self, session: Sam3TrackerVideoInferenceSession, number: int, reverse: bool, remember: bool
    ) -> Sam3TrackerVideoSegmentationOutput:
        """All objects on one frame."""
        visit = Visit(number, reverse, session.num_frames)
        shown = visit_frame(self, session, session.seen[number], visit, remember)
        return Sam3TrackerVideoSegmentationOutput(
            object_ids=session.obj_ids,
            pred_masks=shown.masks,
            object_score_logits=shown.object_score_logits,
            frame_idx=number,
        )

    def _pixels(self, grid: tuple[int, int]) -> tuple[int, int]:
        """Size in pixels of an image with this grid of patches."""
        patch = self.config.prompt_encoder_config.patch_size
        return grid[0] * patch, grid[1] * patch


def _with_bar(numbers: Iterable[int], show: bool) -> Iterable[int]:
    """The same, with a progress bar if it is wanted."""
    from tqdm import tqdm  # a dependency of transformers

    return tqdm(numbers, desc="propagate in video", disable=not show)
