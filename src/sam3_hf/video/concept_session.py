"""Session: one video, what is looked for in it, and all that is known of it so far. Models hold weights, this the rest.

phrases, boxes, clicks -> Sam3VideoInferenceSession <- objects, memory, results of recent frames
"""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sam3_hf.video.bucket import Bucket, all_ids
from sam3_hf.video.delay import Delay
from sam3_hf.video.frames import Frames, Prepare
from sam3_hf.video.phrases import Boxes, Phrase, Phrases
from sam3_hf.video.prompts import ObjectPrompt
from sam3_hf.video.register import Register
from sam3_hf.video.results import Sam3VideoSegmentationOutput
from sam3_hf.video.session_frames import SessionFrames

# What objects belong to that were clicked and not found by a phrase.
NO_PHRASE = -1


class Sam3VideoInferenceSession(SessionFrames):
    """State of a video. Nothing in it grows with the length of the video unless `keep_outputs` asks for that.

    Args:
        video: Frames as the model takes them, (frames, 3, side, side), or nothing where they come one by one.
        video_height: Height of the video in pixels; of the first frame if not given.
        video_width: Width.
        inference_device: Where the model is.
        inference_state_device: Where results are kept.
        video_storage_device: Where a streamed frame is kept.
        dtype: Type of the model.
        max_vision_features_cache_size: Of how many frames features are kept.
        frames: Where frames are read from when they are needed, instead of `video`.
        keep_outputs: Whether the result of every frame stays, for clicks on earlier frames.
        model: What `step` passes frames to.
        prepare: Makes a frame of a picture for `step`.
        memory_dtype: Type that memories are kept in. The original rounds them to bfloat16, whatever the model's type.

    Attributes:
        phrases: What is looked for, by number.
        register: What is known of every object that ever was.
        buckets: Objects that are followed, with their memory.
        outputs: Results that are kept, by frame.
        clicks: What was said about objects, by frame and id.
        pending: What was said and not yet answered.
        touched: Objects that were clicked since the last propagation.
        delay: Results of a stream that wait.
        last_frame: The frame that was gone through last.
    """

    def __init__(  # noqa: PLR0913, PLR0917 (as in transformers)
        self,
        video: Tensor | None = None,
        video_height: int | None = None,
        video_width: int | None = None,
        inference_device: torch.device | str = "cpu",
        inference_state_device: torch.device | str = "cpu",
        video_storage_device: torch.device | str = "cpu",
        dtype: torch.dtype | str = "float32",
        max_vision_features_cache_size: int = 1,
        *,
        frames: Frames | None = None,
        keep_outputs: bool = False,
        memory_dtype: torch.dtype = torch.bfloat16,
        model: Any = None,
        prepare: Prepare | None = None,
    ) -> None:
        if video is not None and frames is not None:
            raise ValueError("Pass video (frames as the model takes them) or frames, not both.")
        size = (video_height, video_width)
        if video is not None:
            told = (video_height or video.shape[-2], video_width or video.shape[-1])
            frames = Frames(video, lambda frame: (frame, told))
        if frames is not None:
            size = frames.size
        super().__init__(frames, size, inference_device, dtype, max_vision_features_cache_size)
        self.inference_state_device = torch.device(inference_state_device)
        self.video_storage_device = torch.device(video_storage_device)
        self.keep_outputs, self.memory_dtype = keep_outputs, memory_dtype
        self.model, self.prepare = model, prepare
        self.streamed: dict[int, Tensor] = {}
        self.reset_state()

    # Frames.

    def add_new_frame(self, pixel_values: Tensor, frame_idx: int | None = None) -> int:
        """Take a frame of a stream, and let go of the one before; returns its number."""
        if self.frames is not None:
            raise ValueError("This session has a video of its own; open one without a video to pass frames one by one.")
        if frame_idx is None:
            frame_idx = 0 if self.last_frame is None else self.last_frame + 1
        frame = pixel_values[0] if pixel_values.ndim == 4 else pixel_values
        self.streamed = {frame_idx: frame.to(self.video_storage_device, self.dtype)}
        self.features.pop(frame_idx, None)
        return frame_idx

    def _streamed_frame(self, frame_idx: int) -> Float[Tensor, "3 S S"]:
        if frame_idx not in self.streamed:
            raise ValueError(f"There is no frame {frame_idx}: only the last frame of a stream is kept.")
        return self.streamed[frame_idx]

    def keep_features(self, frame_idx: int, features: Any) -> None:
        """Keep what was seen on a frame, in place of the oldest if there are too many."""
        self.features[frame_idx] = features
        while len(self.features) > self.max_vision_features_cache_size:
            self.features.pop(next(iter(self.features)))

    # Phrases.

    @property
    def prompts(self) -> dict[int, str]:
        """The texts that are looked for, by number."""
        return self.phrases.texts

    def add_phrase(self, phrase: Phrase) -> int:
        """Look for something more; returns its number, that of the same text if it is looked for already."""
        return self.phrases.add(phrase)

    def add_boxes(self, prompt_id: int, frame_idx: int, boxes: Boxes) -> None:
        """Show examples on a frame, in place of those that were shown there before."""
        self.phrases[prompt_id].boxes[frame_idx] = boxes

    def find_prompt(self, prompt: int | str) -> int:
        """The number of a text, or the number itself.

        Raises:
            ValueError: That is not looked for.
        """
        return self.phrases.find(prompt)

    def remove_prompt(self, prompt: int | str, keep_objects: bool = False) -> None:
        """Stop looking for something; its objects go, or are followed on without it."""
        number = self.find_prompt(prompt)
        del self.phrases[number]
        owned = [object_id for object_id, owner in self.register.phrase.items() if owner == number]
        for object_id in owned:
            if keep_objects:
                self.register.phrase[object_id] = NO_PHRASE
            else:
                self.remove_object(object_id)

    # A stream.

    def step(self, frame: Any) -> list[Sam3VideoSegmentationOutput]:
        """Go through the next frame of a stream; returns the results that are due, see `Sam3VideoModel.step`.

        Args:
            frame: A picture, in any form that images are taken in.

        Raises:
            ValueError: The session was opened without a model, has a video, or the frame is of another size.
        """
        if self.model is None or self.prepare is None:
            raise ValueError("Open the session with the model: processor.init_video_session(model=model).")
        pixels, size = self.prepare(frame)
        if self.video_size not in (None, size):
            raise ValueError(f"All frames have one size; this stream has {self.video_size}, this frame {size}.")
        self.video_height, self.video_width = size
        return self.model.step(self, pixels)

    def finish(self) -> list[Sam3VideoSegmentationOutput]:
        """The results of a stream that are left; more frames may follow."""
        return [] if self.delay is None else self.delay.flush(self.register)

    # Objects.

    def say(self, obj_id: int, frame_idx: int, prompt: ObjectPrompt, clear_old_inputs: bool = True) -> None:
        """Say something about an object, known or new, on a frame; answered before anything else is done.

        Raises:
            ValueError: There is no such frame, or it was let go.
        """
        if frame_idx not in self.streamed and not self.has_frame(frame_idx):
            raise ValueError(f"There is no frame {frame_idx}, or it is a frame of a stream that has gone by.")
        waiting = self.pending.setdefault(frame_idx, {})
        earlier = None if clear_old_inputs else waiting.get(obj_id) or self.clicks.get(frame_idx, {}).get(obj_id)
        waiting[obj_id] = prompt.after(earlier)

    @property
    def obj_ids(self) -> list[int]:
        """Objects that are followed."""
        return all_ids(self.buckets)

    @property
    def obj_id_to_prompt_id(self) -> dict[int, int]:
        """The phrase of every object; -1 for clicked ones."""
        return self.register.phrase

    @property
    def obj_id_to_score(self) -> dict[int, float]:
        """The score that every object was born with."""
        return self.register.score

    @property
    def max_obj_id(self) -> int:
        """The highest id that was given so far; -1 if none was."""
        return self.register.highest_id

    @property
    def removed_obj_ids(self) -> set[int]:
        """Objects that are gone for good."""
        return self.register.removed

    @property
    def hotstart_removed_obj_ids(self) -> set[int]:
        """The same, under the name that transformers has for it."""
        return self.register.removed

    def remove_object(self, obj_id: int, strict: bool = False) -> None:
        """Forget an object, also in the results that are kept; its id is not given again.

        Raises:
            ValueError: There is no such object, and `strict` says that there has to be.
        """
        if obj_id not in self.register.phrase:
            if strict:
                raise ValueError(f"There is no object {obj_id}; there are {self.obj_ids}.")
            return
        self.buckets = [bucket for bucket in self.buckets if bucket.without({obj_id})]
        self.register.forget(obj_id)
        self.outputs = {frame: result.without(obj_id) for frame, result in self.outputs.items()}
        for frames in (self.clicks, self.pending):
            for objects in frames.values():
                objects.pop(obj_id, None)

    def keep_output(self, result: Sam3VideoSegmentationOutput) -> None:
        """Keep the result of a frame; unless all are to stay, that of the frame before goes."""
        if not self.keep_outputs:
            self.outputs.clear()
        self.outputs[result.frame_idx] = result

    def save(self, folder: str | Path) -> None:
        """Write all but the frames to a new folder, as JSON and safetensors; `load_video_session` reads it.

        Raises:
            ValueError: There is something at this place already.
        """
        # Storage builds on this class; only this door looks up to it.
        from sam3_hf.video.concept_storage import save_session

        save_session(self, folder)

    def to(
        self, device: torch.device | str, state_device: torch.device | str | None = None
    ) -> "Sam3VideoInferenceSession":
        """Move to the device where the model runs now; results are kept there too if not told otherwise."""
        self.inference_device = torch.device(device)
        self.inference_state_device = torch.device(state_device or device)
        self.features.clear()
        self.phrases.forget_features()
        for bucket in self.buckets:
            bucket.bank = bucket.bank.to(self.inference_device)
        for result in [*self.outputs.values(), *(() if self.delay is None else self.delay.results)]:
            result.move(self.inference_state_device)
        return self

    # Starting anew.

    def reset_inference_session(self) -> None:
        """Forget all objects and results; phrases stay, and ids start at 0 again."""
        self.register = Register()
        self.buckets: list[Bucket] = []
        self.outputs: dict[int, Sam3VideoSegmentationOutput] = {}
        self.clicks: dict[int, dict[int, ObjectPrompt]] = {}
        self.pending: dict[int, dict[int, ObjectPrompt]] = {}
        self.touched: set[int] = set()
        self.delay: Delay | None = None
        self.last_frame: int | None = None
        self.features: dict[int, Any] = {}

    def reset_state(self) -> None:
        """Forget phrases too: as right after opening."""
        self.phrases = Phrases()
        self.reset_inference_session()

    reset_tracking_data = reset_inference_session
