"""Session: the objects that are followed through a video, what was said about them, and where the frames come from.

prompts by object and frame -> plan of a frame: who is prompted, who shows what is known, who is followed
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from sam3_hf.video.frames import Frames
from sam3_hf.video.objects import FollowedObject, cut_out, joint_scores
from sam3_hf.video.prompts import ObjectPrompt
from sam3_hf.video.session_frames import SessionFrames
from sam3_hf.video.session_storage import read_session, save_session
from sam3_hf.video.state import FrameMemory, MemoryLimits


class Plan(NamedTuple):
    """What is to be done on a frame; ids of objects, each in one of these."""

    prompted: list[int]
    known: list[int]
    followed: list[int]
    absent: list[int]


class Sam3TrackerVideoInferenceSession(SessionFrames):
    """All that is known of the objects in one video; models hold nothing of it.

    Args:
        video: Frames as the model takes them (frames, 3, side, side), or `Frames`; none for a stream.
        video_height: Height of the video in pixels.
        video_width: Width of the video in pixels.
        inference_device: Where the model runs.
        inference_state_device: Where memories are kept, such as "cpu" to save memory of the accelerator.
        video_storage_device: Accepted for code written for transformers; frames stay where they come from.
        dtype: Type of the frames.
        max_vision_features_cache_size: Frames whose features are kept.
        memory_dtype: Type that memories are kept in; the model was trained with bfloat16.
        keep_all: Keep every frame's memory and masks instead of what later frames can read.
        joint: Objects that are shown on the same frame do not overlap in memory, and share one memory selection, as in
            the original; otherwise no object knows of the others.
    """

    def __init__(  # noqa: PLR0913, PLR0917 (public signature)
        self,
        video: Any = None,
        video_height: int | None = None,
        video_width: int | None = None,
        inference_device: torch.device | str = "cpu",
        inference_state_device: torch.device | str | None = None,
        video_storage_device: torch.device | str | None = None,
        dtype: torch.dtype | str = torch.float32,
        max_vision_features_cache_size: int = 1,
        memory_dtype: torch.dtype = torch.bfloat16,
        keep_all: bool = False,
        joint: bool = False,
    ) -> None:
        frames = video if video is None or isinstance(video, Frames) else Frames(video, _already_prepared)
        known = video.size if isinstance(video, Frames) else (None, None)
        told = (video_height, video_width)
        size = [mine if given is None else int(given) for given, mine in zip(told, known, strict=True)]
        super().__init__(frames, (size[0], size[1]), inference_device, dtype, max_vision_features_cache_size)
        self.inference_state_device = torch.device(inference_state_device or inference_device)
        self.memory_dtype, self.keep_all, self.joint = memory_dtype, keep_all, joint
        self.objects: dict[int, FollowedObject] = {}
        self.seen: dict[int, Any] = {}
        self.latest_frame = -1

    def save(self, folder: str | Path) -> None:
        """Write all but the frames to a new folder, as JSON and safetensors.

        Raises:
            ValueError: There is something at this place already.
        """
        save_session(self, folder)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        video: Any = None,
        inference_device: torch.device | str = "cpu",
        inference_state_device: torch.device | str | None = None,
    ) -> "Sam3TrackerVideoInferenceSession":
        """The session that was saved; with the same model and frames it goes on exactly as the first would have.

        Args:
            folder: Where it was saved.
            video: The same frames again, as for a new session; none for a stream.
            inference_device: Where the model runs now.
            inference_state_device: Where memories are kept now.

        Raises:
            ValueError: Nothing was saved there, it is damaged, or the frames are not those of this session.
        """
        options, objects, latest_frame = read_session(folder, video)
        frames = options.pop("num_frames")
        session = cls(video, **options)
        if frames is not None and session.num_frames not in (None, frames):
            raise ValueError(f"{folder} is the session of a video of {frames} frames; this has {session.num_frames}.")
        session.objects, session.latest_frame = objects, latest_frame
        return session.to(inference_device, inference_state_device)

    def to(
        self, device: torch.device | str, state_device: torch.device | str | None = None
    ) -> "Sam3TrackerVideoInferenceSession":
        """Move to the device where the model runs now; memories are kept there too if not told otherwise."""
        self.inference_device = torch.device(device)
        self.inference_state_device = torch.device(state_device or device)
        self.seen.clear()
        for each in self.objects.values():
            each.bank = each.bank.to(self.inference_state_device)
        return self

    @property
    def obj_ids(self) -> list[int]:
        """Ids of all objects, in the order they came."""
        return list(self.objects)

    def get_obj_num(self) -> int:
        """Number of objects."""
        return len(self.objects)

    def obj_id_to_idx(self, obj_id: int) -> int:
        """Place of an object in every output; it is made if there is none with this id."""
        self.objects.setdefault(obj_id, FollowedObject())
        return self.obj_ids.index(obj_id)

    def obj_idx_to_id(self, obj_idx: int) -> int:
        """Id of the object at a place of the outputs."""
        return self.obj_ids[obj_idx]

    def say(self, obj_id: int, frame_index: int, prompt: ObjectPrompt, clear_old: bool = True) -> None:
        """Say something about an object, old or new; the next visit to the frame answers it.

        Raises:
            ValueError: There is no such frame.
        """
        self.check_frame(frame_index)
        each = self.objects[self.obj_idx_to_id(self.obj_id_to_idx(obj_id))]
        earlier = None if clear_old or prompt.mask is not None else each.prompts.get(frame_index)
        each.prompts[frame_index] = prompt.after(earlier)
        each.pending.add(frame_index)
        if self.joint and prompt.mask is not None:
            cut_out(prompt.mask, frame_index, [other for other in self.objects.values() if other is not each])

    def check_frame(self, frame_index: int) -> None:
        """Refuse a number that is that of no frame."""
        if frame_index < 0 or (self.num_frames is not None and frame_index >= self.num_frames):
            raise ValueError(f"There is no frame {frame_index}; of {self.num_frames or 'any number'}, 0 is the first.")

    def remove_inputs(self, obj_id: int, frame_index: int) -> None:
        """Take back what was said about an object on a frame; without any prompt left, it has to be shown again.

        Raises:
            ValueError: No such object.
        """
        each = self._known(obj_id)
        each.prompts.pop(frame_index, None)
        each.pending.discard(frame_index)
        if frame_index in each.bank.conditioning:
            each.bank.downgrade(frame_index)
        if not each.bank.conditioning:
            each.bank.tracked.clear()

    def remove_object(self, obj_id: int, strict: bool = False) -> None:
        """Follow an object no longer.

        Args:
            obj_id: Its id, which may be given to another object later.
            strict: Whether an unknown id is an error.

        Raises:
            ValueError: No such object, and `strict`.
        """
        if strict:
            self._known(obj_id)
        self.objects.pop(obj_id, None)

    def reset_tracking_data(self) -> None:
        """Forget all objects; frames and features stay."""
        self.objects.clear()

    def reset_inference_session(self) -> None:
        """Forget all objects and features; frames stay."""
        self.objects.clear()
        self.seen.clear()

    def plan(self, frame_index: int) -> Plan:
        """Who is prompted on a frame, who shows what is known, who is followed from memory, and who cannot be."""
        plan = Plan([], [], [], [])
        for obj_id, each in self.objects.items():
            known = plan.known if frame_index in each.bank.conditioning else plan.followed
            unprompted = known if each.bank.conditioning else plan.absent
            (plan.prompted if frame_index in each.pending else unprompted).append(obj_id)
        return plan

    def answered(self, obj_id: int, frame_index: int, memory: FrameMemory, limits: MemoryLimits) -> None:
        """A prompt has its answer, which later frames look at."""
        each = self.objects[obj_id]
        earlier = each.bank.get(frame_index)
        each.pending.discard(frame_index)
        each.bank.limits = None if self.keep_all else limits
        stored = replace(memory.to(self.inference_state_device), reverse=None if earlier is None else earlier.reverse)
        each.bank.remember(frame_index, stored, conditioning=True)
        each.let_go()

    def followed(self, obj_id: int, frame_index: int, memory: FrameMemory, reverse: bool) -> None:
        """An object was found on a frame."""
        stored = replace(memory.to(self.inference_state_device), reverse=reverse)
        self.objects[obj_id].bank.remember(frame_index, stored)

    def joint_scores(self) -> dict[int, float]:
        """The score of every tracked frame, of all objects together."""
        return joint_scores(self.objects.values())

    def pending_frames(self) -> set[int]:
        """Frames with prompts that wait for an answer."""
        return set().union(*(each.pending for each in self.objects.values()))

    def conditioning_frames(self) -> set[int]:
        """Frames on which any object was shown, or is about to be."""
        return self.pending_frames().union(*(each.bank.conditioning for each in self.objects.values()))

    def journey(self, start: int | None, most: int | None, reverse: bool) -> range:
        """Numbers of the frames to go through; the end is open where the length of the video is not known.

        Raises:
            ValueError: There is no video, no prompt to start from, or no such start.
        """
        if self.frames is None:
            raise ValueError("This session has no video; pass frames one by one as they come.")
        prompted = self.conditioning_frames()
        if start is None and not prompted:
            raise ValueError("No object was shown on any frame yet: add inputs first, or say where to start.")
        start = min(prompted) if start is None else start
        self.check_frame(start)
        if reverse:
            return range(start, -1 if most is None else max(start - most, 0) - 1, -1)
        last = sys.maxsize - 1 if self.num_frames is None else self.num_frames - 1
        return range(start, (last if most is None else min(start + most, last)) + 1)

    def ahead(self, start: int) -> list[int]:
        """Frames whose prompts are answered before a journey: all but its first; none where frames are read once."""
        if self.frames is None or not self.frames.can_go_back:
            return []
        return sorted(self.pending_frames() - {start}, key=lambda number: -abs(number - start))

    def add_new_frame(self, pixel_values: Tensor, frame_idx: int | None = None) -> int:
        """Number of a frame that was streamed; the frame itself is not kept."""
        number = self.latest_frame + 1 if frame_idx is None else frame_idx
        self.latest_frame = max(self.latest_frame, number)
        self.seen.pop(number, None)
        return number

    def _streamed_frame(self, frame_idx: int) -> Float[Tensor, "3 S S"]:
        raise ValueError(
            f"Frame {frame_idx} is not there: streamed frames are not kept. Pass it again as frame, with frame_idx."
        )

    def features(self, frame_index: int, look: Callable[[], Any]) -> Any:
        """Features of a frame, from the few that are kept, or new."""
        if frame_index not in self.seen:
            looked = look()
            while len(self.seen) >= self.max_vision_features_cache_size:
                del self.seen[next(iter(self.seen))]
            self.seen[frame_index] = looked
        return self.seen[frame_index]

    def _known(self, obj_id: int) -> FollowedObject:
        if obj_id not in self.objects:
            raise ValueError(f"There is no object {obj_id}; there are {self.obj_ids}.")
        return self.objects[obj_id]


def _already_prepared(frame: Any) -> tuple[Tensor, tuple[int, int]]:
    """A frame that is pixel values; the size of the video is told to the session."""
    if not isinstance(frame, Tensor) or frame.ndim != 3:
        raise ValueError("A session takes frames (3, side, side) as the model does; the processor prepares others.")
    return frame, (0, 0)
