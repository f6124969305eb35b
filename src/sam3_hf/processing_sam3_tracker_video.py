"""Processor of the interactive half on videos: frames, and prompts on objects, into a session; masks at video size out.

video -> session whose frames are prepared one by one
points, labels, boxes in pixels, or masks, of objects on a frame -> prompts of the session
pred_masks [O, 1, h, w] -> masks at the size of the video
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sam3_hf.inputs.clicks import ObjectInputs, read_object_prompts
from sam3_hf.inputs.sizes import read_size
from sam3_hf.processing_sam3_tracker import Sam3TrackerProcessor
from sam3_hf.video.frames import Frames
from sam3_hf.video.prompts import ObjectPrompt
from sam3_hf.video.session import Sam3TrackerVideoInferenceSession

_CORNERS = (2, 3)


class Sam3TrackerVideoProcessor(Sam3TrackerProcessor):
    """Image processor, which prepares frames too, and the arithmetic of prompts.

    Args:
        image_processor: A `Sam3ImageProcessor`.
        target_size: Side in pixels of the input that points and boxes are scaled to; the image processor's by default.
        point_pad_value: Fills prompts where an object has fewer points than another.
    """

    def init_video_session(
        self,
        video: Any = None,
        inference_device: torch.device | str = "cpu",
        inference_state_device: torch.device | str | None = None,
        processing_device: torch.device | str | None = None,
        video_storage_device: torch.device | str | None = None,
        max_vision_features_cache_size: int = 1,
        dtype: torch.dtype | str = torch.float32,
        **options: Any,
    ) -> Sam3TrackerVideoInferenceSession:
        """A session in which no object is followed yet.

        Args:
            video: Frames in any form that images are taken in: a list, array, tensor or any sequence, of which one
                frame at a time is read and prepared, or an iterator, which is read once. None for a stream.
            inference_device: Where the model runs.
            inference_state_device: Where memories are kept.
            processing_device: Where frames are prepared.
            video_storage_device: Accepted for code written for transformers; frames stay where they come from.
            max_vision_features_cache_size: Frames whose features are kept.
            dtype: Type of the frames.
            options: Others of `Sam3TrackerVideoInferenceSession`.

        Raises:
            ValueError: Not a video, or an empty one.
        """
        frames = None if video is None else Frames(video, lambda frame: self._prepare(frame, processing_device))
        return Sam3TrackerVideoInferenceSession(
            frames,
            inference_device=inference_device,
            inference_state_device=inference_state_device,
            video_storage_device=video_storage_device,
            dtype=dtype,
            max_vision_features_cache_size=max_vision_features_cache_size,
            **options,
        )

    def load_video_session(
        self,
        folder: str | Path,
        video: Any = None,
        inference_device: torch.device | str = "cpu",
        inference_state_device: torch.device | str | None = None,
        processing_device: torch.device | str | None = None,
    ) -> Sam3TrackerVideoInferenceSession:
        """The session that `save` wrote to a folder; frames as for `init_video_session`, errors as its `load`."""
        frames = None if video is None else Frames(video, lambda frame: self._prepare(frame, processing_device))
        return Sam3TrackerVideoInferenceSession.load(folder, frames, inference_device, inference_state_device)

    def add_inputs_to_inference_session(  # noqa: PLR0913, PLR0917 (public signature)
        self,
        inference_session: Sam3TrackerVideoInferenceSession,
        frame_idx: int,
        obj_ids: list[int] | int,
        input_points: Any = None,
        input_labels: Any = None,
        input_boxes: Any = None,
        input_masks: Any = None,
        original_size: Any = None,
        clear_old_inputs: bool = True,
        use_memory: bool = False,
    ) -> Sam3TrackerVideoInferenceSession:
        """Say something about objects on a frame; the model answers when it next visits the frame.

        Args:
            inference_session: What is known of the video.
            frame_idx: Number of the frame.
            obj_ids: Ids of the objects, old or new, in the order of all that follows.
            input_points: Points x, y in pixels of the video, nested as for one image: `[[[[450, 600]]]]`.
            input_labels: One per point: 1 on the object (default), 0 not on it.
            input_boxes: x1, y1, x2, y2 in pixels of the video, as for one image: `[[[100, 80, 300, 240]]]`.
            input_masks: One mask per object, bool or 0 to 1, (height, width); alone, without points or boxes.
            original_size: `(height, width)` of the video, where the session does not know it.
            clear_old_inputs: Forget earlier points on this frame; otherwise these are added.
            use_memory: Whether a correction also looks at what is remembered of other frames.

        Raises:
            ValueError: Inputs that cannot be read or do not fit together; nothing has been added then.
        """
        ids = [obj_ids] if isinstance(obj_ids, int) else list(obj_ids)
        if not ids or len(set(ids)) != len(ids):
            raise ValueError(f"obj_ids names each object once; got {ids}.")
        if input_masks is not None and not (input_points is input_labels is input_boxes is None):
            raise ValueError("A mask says everything about an object: pass input_masks alone.")
        if input_boxes is not None and not clear_old_inputs:
            raise ValueError("A box comes before all points: pass it with clear_old_inputs=True.")
        size = _size(inference_session, original_size)
        if input_masks is not None:
            prompts = [ObjectPrompt.of_mask(mask) for mask in _masks(input_masks, len(ids))]
        else:
            given = read_object_prompts(
                input_points, input_labels, input_boxes, [size], self.target_size, self.point_pad_value
            )
            prompts = _prompts(given, len(ids), self.point_pad_value, use_memory)
        inference_session.video_height, inference_session.video_width = size
        for obj_id, prompt in zip(ids, prompts, strict=True):
            inference_session.say(obj_id, frame_idx, prompt, clear_old_inputs)
        return inference_session

    def post_process_masks(
        self, masks: Any, original_sizes: Any, mask_threshold: float = 0.0, binarize: bool = True,
        max_hole_area: float = 0.0, **kwargs: Any,
    ) -> list[Tensor]:  # fmt: skip
        """See `Sam3ImageProcessor.post_process_masks`; as in the original, no hole of a video's masks is filled."""
        return super().post_process_masks(masks, original_sizes, mask_threshold, binarize, max_hole_area, **kwargs)

    def _prepare(self, frame: Any, device: torch.device | str | None) -> tuple[Float[Tensor, "3 S S"], tuple[int, int]]:
        """One frame as the model takes it, and its size."""
        encoding = self.image_processor(frame, return_tensors="pt", device=device)
        return encoding["pixel_values"][0], read_size(encoding["original_sizes"][0], "original_sizes")


def _size(session: Sam3TrackerVideoInferenceSession, told: Any) -> tuple[int, int]:
    """Size of the video."""
    if told is not None:
        return read_size(told, "original_size")
    if session.video_height is None or session.video_width is None:
        raise ValueError("Pass original_size, (height, width) of the frames: the session has no video to ask.")
    return session.video_height, session.video_width


def _prompts(given: ObjectInputs, objects: int, pad: int, use_memory: bool) -> list[ObjectPrompt]:
    """Points of each object, corners of its box first."""
    for name, part in (("input_points", given.points), ("input_boxes", given.boxes)):
        if part is not None and part.shape[1] != objects:
            raise ValueError(f"There are {objects} obj_ids, and {name} for {part.shape[1]} objects.")
    prompts = [_prompt(given, place, pad, use_memory) for place in range(objects)]
    silent = [place for place, prompt in enumerate(prompts) if not len(prompt.points)]
    if silent:
        raise ValueError(f"Nothing is said about the objects at {silent} of obj_ids: pass a point, box or mask each.")
    return prompts


def _prompt(given: ObjectInputs, place: int, pad: int, use_memory: bool) -> ObjectPrompt:
    points, labels = [torch.zeros(0, 2)], [torch.zeros(0, dtype=torch.long)]
    if given.boxes is not None and not bool((given.boxes[0, place] == pad).all()):
        points.append(given.boxes[0, place].view(2, 2))
        labels.append(torch.tensor(_CORNERS))
    if given.points is not None and given.labels is not None:
        real = given.labels[0, place] != pad
        points.append(given.points[0, place][real])
        labels.append(given.labels[0, place][real])
    return ObjectPrompt(torch.cat(points), torch.cat(labels), use_memory=use_memory)


def _masks(masks: Any, objects: int) -> list[Float[Tensor, "1 h w"]]:
    """One mask per object, 0 to 1."""
    parts: Sequence[Any] = masks if isinstance(masks, (list, tuple)) else [masks]
    if len(parts) == 1 and objects > 1:
        parts = list(torch.as_tensor(parts[0]))
    if len(parts) != objects:
        raise ValueError(f"There are {objects} obj_ids, and input_masks for {len(parts)} objects.")
    return [_mask(torch.as_tensor(part)) for part in parts]


def _mask(mask: Tensor) -> Float[Tensor, "1 h w"]:
    if mask.ndim < 2 or mask.ndim > 4 or any(length != 1 for length in mask.shape[:-2]) or not mask.numel():
        raise ValueError(f"A mask of one object is (height, width); got {tuple(mask.shape)}.")
    values = mask.detach().cpu().reshape(1, *mask.shape[-2:]).float()
    if not bool(((values >= 0) & (values <= 1)).all()):
        raise ValueError("A mask is bool, or its values are 0 to 1; compare logits or grey levels with a threshold.")
    return values
