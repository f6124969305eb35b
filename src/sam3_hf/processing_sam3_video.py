"""Processor of the concept model on videos: frames, texts, boxes and clicks into a session; masks at video size out.

video -> session whose frames are prepared one by one
texts; boxes, points in pixels of a frame -> phrases and prompts of the session
what the model says of a frame -> ids, scores, boxes in pixels, masks at the size of the video
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sam3_hf.inputs.boxes import pad_boxes
from sam3_hf.inputs.prompts import BOXES_ONLY, as_lists
from sam3_hf.inputs.sizes import read_size, read_sizes
from sam3_hf.inputs.texts import tokenize
from sam3_hf.processing_sam3 import Sam3Processor
from sam3_hf.processing_sam3_tracker_video import Sam3TrackerVideoProcessor
from sam3_hf.video.concept_session import Sam3VideoInferenceSession
from sam3_hf.video.concept_storage import load_session
from sam3_hf.video.frames import Frames
from sam3_hf.video.phrases import Boxes, Phrase
from sam3_hf.video.results import SHARES, Sam3VideoSegmentationOutput, show

_PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}


class Sam3VideoProcessor(Sam3Processor):
    """Joins the image processor, which prepares frames too, and the tokenizer. For images it is `Sam3Processor`."""

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
    ) -> Sam3VideoInferenceSession:
        """A session in which nothing is looked for yet.

        Args:
            video: Frames in any form that images are taken in: a folder of pictures in the order of their names, a
                list, array, tensor or any sequence, of which one frame at a time is read and prepared, or an iterator,
                which is read once. None for a stream.
            inference_device: Where the model runs.
            inference_state_device: Where results are kept.
            processing_device: Where frames are prepared.
            video_storage_device: Where a streamed frame is kept.
            max_vision_features_cache_size: Frames whose features are kept.
            dtype: Type of the frames.
            options: Others of `Sam3VideoInferenceSession`, such as `keep_outputs`; or `model`, for `step`.

        Raises:
            ValueError: Not a video, or an empty one.
        """
        return Sam3VideoInferenceSession(
            frames=self._frames(video, processing_device),
            prepare=lambda frame: self._prepare(frame, processing_device),
            inference_device=inference_device,
            inference_state_device=inference_state_device or inference_device,
            video_storage_device=video_storage_device or inference_device,
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
        model: Any = None,
    ) -> Sam3VideoInferenceSession:
        """The session that `save` wrote to a folder; frames, devices and `model` as for `init_video_session`.

        Raises:
            ValueError: The folder holds no session, or a damaged one, or the frames are not those of this session.
        """
        frames = self._frames(video, processing_device)
        session = load_session(folder, frames, inference_device, inference_state_device)
        session.model, session.prepare = model, lambda frame: self._prepare(frame, processing_device)
        return session

    def add_text_prompt(
        self, inference_session: Sam3VideoInferenceSession, text: str | Sequence[str]
    ) -> Sam3VideoInferenceSession:
        """Look for one thing more, or several; what is looked for already, and all objects, stay.

        Args:
            inference_session: What is known of the video.
            text: A noun phrase, or a list of them.

        Raises:
            ValueError: Not a text.
        """
        texts = [text] if isinstance(text, str) else list(text)
        if not texts or not all(isinstance(each, str) and each.strip() for each in texts):
            raise ValueError(f"text is a noun phrase or a list of them, none empty; got {text!r}.")
        for each in texts:
            self._add_phrase(inference_session, each, everywhere=True)
        return inference_session

    def add_box_prompt(
        self,
        inference_session: Sam3VideoInferenceSession,
        frame_idx: int,
        boxes: Any,
        labels: Any = None,
        text: str | None = None,
        original_size: Any = None,
    ) -> Sam3VideoInferenceSession:
        """Show examples on a frame. They say what is looked for on that frame, with a text or without.

        Without a text nothing is looked for on other frames; objects that were found are followed there.

        Args:
            inference_session: What is known of the video.
            frame_idx: Number of the frame.
            boxes: One box x1, y1, x2, y2 in pixels of the video, or several, in place of those shown there before.
            labels: One per box: 1 such objects (default), 0 not such objects.
            text: The noun phrase that the boxes belong to; it is looked for on all frames.
            original_size: `(height, width)` of the video, where the session does not know it.

        Raises:
            ValueError: Boxes or labels that cannot be read, or the size of the video is not known.
        """
        size = inference_session.video_size if original_size is None else read_size(original_size, "original_size")
        if size is None:
            raise ValueError("Pass original_size, (height, width) of the frames: the session has no video to ask.")
        rows, marks = as_lists(boxes), as_lists(labels)
        if isinstance(rows, list) and rows and not isinstance(rows[0], list):
            rows, marks = [rows], [marks] if isinstance(marks, int) else marks
        read, flags = pad_boxes([rows], None if marks is None else [marks], [size], self.point_pad_value)
        if not len(read[0]):
            raise ValueError("Pass at least one box.")
        number = self._add_phrase(inference_session, text or BOXES_ONLY, everywhere=text is not None)
        inference_session.video_height, inference_session.video_width = size
        inference_session.add_boxes(number, frame_idx, Boxes(read[0], flags[0]))
        return inference_session

    def add_inputs_to_inference_session(  # noqa: PLR0913, PLR0917 (public signature)
        self,
        inference_session: Sam3VideoInferenceSession,
        frame_idx: int,
        obj_ids: list[int] | int,
        input_points: Any = None,
        input_labels: Any = None,
        input_boxes: Any = None,
        input_masks: Any = None,
        original_size: Any = None,
        clear_old_inputs: bool = True,
    ) -> Sam3VideoInferenceSession:
        """Say something about single objects, known or new ones; arguments as `Sam3TrackerVideoProcessor` has them.

        The model answers when it goes through that frame next, or at the latest before it goes on.
        """
        objects = Sam3TrackerVideoProcessor(self.image_processor, self.target_size, self.point_pad_value)
        said: Any = inference_session
        return objects.add_inputs_to_inference_session(
            said, frame_idx, obj_ids, input_points, input_labels, input_boxes, input_masks, original_size,
            clear_old_inputs,
        )  # fmt: skip  # pyright: ignore[reportReturnType]

    def postprocess_outputs(
        self,
        inference_session: Sam3VideoInferenceSession,
        model_outputs: Sam3VideoSegmentationOutput,
        original_sizes: Any = None,
        share: str = "all",
    ) -> dict[str, Any]:
        """What is to be shown of a frame.

        Args:
            inference_session: What is known of the video.
            model_outputs: What the model said of the frame.
            original_sizes: `[[height, width]]` of the frame, where the session does not know the size of the video.
            share: Where masks meet, the object that the tracker is surest of keeps the pixels: among "all" objects,
                among those of one "prompt" (objects of different texts may overlap), or "none".

        Returns:
            `object_ids` int64 `(N,)`, ascending; `scores` `(N,)` that the objects were born with; `boxes` `(N, 4)` x1,
            y1, x2, y2 in pixels, tight, of the masks before they share pixels; `masks` bool `(N, height, width)`;
            `prompt_to_obj_ids`, for every text its objects on this frame.

        Raises:
            ValueError: The size of the video is not known, or there is no such way to share.
        """
        if share not in SHARES:
            raise ValueError(f"share is one of {', '.join(SHARES)}; got {share!r}.")
        size = inference_session.video_size
        if size is None and original_sizes is None:
            raise ValueError("Pass original_sizes, [[height, width]] of the frame: the session has no video to ask.")
        size = size or read_sizes(original_sizes, "original_sizes")[0]
        shown = show(model_outputs, size, share)
        texts, owners = inference_session.prompts, model_outputs.obj_id_to_prompt_id
        by_text: dict[str, list[int]] = {}
        for number in shown.ids:
            if owners.get(number) in texts:
                by_text.setdefault(texts[owners[number]], []).append(number)
        return {
            "object_ids": torch.tensor(shown.ids, dtype=torch.int64),
            "scores": torch.tensor(shown.scores, dtype=torch.float32),
            "boxes": shown.boxes_xyxy_px.float(),
            "masks": shown.masks,
            "prompt_to_obj_ids": by_text,
        }

    def _add_phrase(self, session: Sam3VideoInferenceSession, text: str, everywhere: bool) -> int:
        input_ids, attention_mask = tokenize([text], self.tokenizer)
        return session.add_phrase(Phrase(text, input_ids, attention_mask, everywhere))

    def _frames(self, video: Any, device: torch.device | str | None) -> Frames | None:
        """Frames that are read and prepared one by one."""
        if video is None:
            return None
        if isinstance(video, (str, Path)):
            video = _pictures(Path(video))
        return Frames(video, lambda frame: self._prepare(frame, device))

    def _prepare(self, frame: Any, device: torch.device | str | None) -> tuple[Float[Tensor, "3 S S"], tuple[int, int]]:
        """One frame as the model takes it, and its size."""
        encoding = self.image_processor(frame, return_tensors="pt", device=device)
        return encoding["pixel_values"][0], read_size(encoding["original_sizes"][0], "original_sizes")


def _pictures(folder: Path) -> list[Path]:
    """The pictures of a folder, in the order of their names."""
    found = sorted(path for path in folder.glob("*") if path.suffix.lower() in _PICTURES)
    if not found:
        raise ValueError(f"{folder} is no folder with pictures. Decode a video file, and pass its frames.")
    return found
