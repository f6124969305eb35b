"""Configuration of the concept model for videos: detector, tracker, and the rules by which detections become tracks.

JSON written by transformers' own Sam3VideoConfig loads here, and JSON written here loads there.
"""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from sam3_hf.configuration_sam3 import Sam3Config, as_part
from sam3_hf.configuration_sam3_tracker_video import Sam3TrackerVideoConfig
from sam3_hf.hub import ConfigFromHub

# Rules that go together, by name; what is not listed is as in the released model.
_NO_HOTSTART = {"hotstart_delay": 0, "hotstart_unmatch_thresh": 0, "hotstart_dup_thresh": 0}
PRESETS: dict[str, dict[str, Any]] = {
    "released": {},
    "ablation": {**_NO_HOTSTART, "recondition_every_nth_frame": 0},
    # Objects are looked for on every fourth frame only, so what counts frames with detections counts fewer.
    "fast": {"detect_every_nth_frame": 4, "hotstart_unmatch_thresh": 2, "hotstart_dup_thresh": 2},
}


@strict
class Sam3VideoConfig(ConfigFromHub, PreTrainedConfig):
    """Configuration of `Sam3VideoModel`; the defaults are those of the released model.

    Args:
        detector_config: Sizes of the detector, a `Sam3Config`.
        tracker_config: Sizes of the tracker and its memory, a `Sam3TrackerVideoConfig`.
        initializer_range: Standard deviation of the initial weights.
        low_res_mask_size: Side of the masks that decisions are made on; informative, masks say their own size.
        score_threshold_detection: Score that a detection must exceed.
        det_nms_thresh: Of detections that overlap more than this (IoU), the best stays; 0 keeps all.
        assoc_iou_thresh: Overlap from which a detection belongs to a track, so that it is not new.
        trk_assoc_iou_thresh: Overlap from which a track counts as seen by the detector.
        new_det_thresh: Score from which a detection that belongs to no track becomes an object. Not applied to a phrase
            of which nothing is tracked.
        recondition_on_trk_masks: Kept for compatibility: tracks always start anew from the detector's mask, as in the
            original.
        hotstart_delay: Frames by which results are delayed, and in which young objects may be removed; 0 for none.
        hotstart_unmatch_thresh: Unseen frames, in a row or not, for which a young object is removed.
        hotstart_dup_thresh: Matches shared with an older object for which a young object is removed.
        suppress_unmatched_only_within_hotstart: `False` also hides older objects that were missed more than seen.
        init_trk_keep_alive, max_trk_keep_alive, min_trk_keep_alive: First, highest and lowest value of an object's
            counter, which matches raise and misses lower; at 0 it may be hidden.
        suppress_overlapping_based_on_recent_occlusion_threshold: Overlap from which, of two tracks, the one that was
            covered more recently is emptied; 0 for never.
        decrease_trk_keep_alive_for_empty_masklets: Whether an empty mask lowers the counter too.
        fill_hole_area: Area in low-resolution pixels up to which holes are filled and pieces removed; 0 for none.
        max_num_objects: Objects that are tracked at a time, at most.
        recondition_every_nth_frame: After how many frames sure tracks start anew from the mask of their detection; 0
            for never.
        high_conf_thresh, high_iou_thresh: Score and overlap from which a detection may recondition its track.
        detect_every_nth_frame: On the other frames objects are only followed; 1 looks for new ones on every frame.
        o2o_matching_masklets_enable: Whether a detection can count as seeing one track only.
        masklet_confirmation_enable: Whether objects stay hidden until they were detected several times in a row.
        masklet_confirmation_consecutive_det_thresh: How many times.
        reconstruction_bbox_iou_thresh: Overlap of boxes below which a track starts anew at once and shows the
            detector's mask; 0 for never.
        reconstruction_bbox_det_score: Score that the detection needs for that.
        refinement_detector_cond_frame_removal_window: Around a click on an object, masks from the detector within so
            many frames are no longer held on to.

    Raises:
        ValueError: More unseen frames are asked for than the delay has.
    """

    model_type = "sam3_video"
    sub_configs: ClassVar[dict[str, Any]] = {
        "detector_config": Sam3Config,
        "tracker_config": Sam3TrackerVideoConfig,
    }

    detector_config: Any = None
    tracker_config: Any = None
    initializer_range: float = 0.02
    low_res_mask_size: int = 288

    score_threshold_detection: float | int = 0.5
    new_det_thresh: float | int = 0.7
    det_nms_thresh: float | int = 0.1
    detect_every_nth_frame: int = 1
    max_num_objects: int = 10000

    assoc_iou_thresh: float | int = 0.1
    trk_assoc_iou_thresh: float | int = 0.5
    o2o_matching_masklets_enable: bool = False
    suppress_overlapping_based_on_recent_occlusion_threshold: float | int = 0.7

    hotstart_delay: int = 15
    hotstart_dup_thresh: int = 8
    hotstart_unmatch_thresh: int = 8
    suppress_unmatched_only_within_hotstart: bool = True
    min_trk_keep_alive: int = -1
    init_trk_keep_alive: int = 30
    max_trk_keep_alive: int = 30
    decrease_trk_keep_alive_for_empty_masklets: bool = False
    masklet_confirmation_enable: bool = False
    masklet_confirmation_consecutive_det_thresh: int = 3

    recondition_every_nth_frame: int = 16
    recondition_on_trk_masks: bool = True
    high_iou_thresh: float | int = 0.8
    high_conf_thresh: float | int = 0.8
    reconstruction_bbox_iou_thresh: float | int = 0
    reconstruction_bbox_det_score: float | int = 0
    refinement_detector_cond_frame_removal_window: int = 16
    fill_hole_area: int = 16

    def __post_init__(self, **kwargs: Any) -> None:
        for name, config_class in self.sub_configs.items():
            setattr(self, name, as_part(config_class, getattr(self, name)))
        self._check_rules()
        super().__post_init__(**kwargs)

    def _check_rules(self) -> None:
        """Refuse rules that could never apply."""
        for name in ("hotstart_unmatch_thresh", "hotstart_dup_thresh"):
            if 0 < self.hotstart_delay < getattr(self, name):
                raise ValueError(
                    f"{name} is {getattr(self, name)}, more than the {self.hotstart_delay} frames of hotstart_delay."
                )
        if self.detect_every_nth_frame < 1:
            raise ValueError(f"detect_every_nth_frame is 1 or more; got {self.detect_every_nth_frame}.")

    def use_preset(self, name: str) -> "Sam3VideoConfig":
        """Set the rules to those of a preset: "released", "ablation" or "fast"; returns this configuration.

        Raises:
            ValueError: There is no such preset.
        """
        if name not in PRESETS:
            raise ValueError(f"No preset {name!r}; there are {', '.join(PRESETS)}.")
        touched = {field for values in PRESETS.values() for field in values}
        for field in sorted(touched):
            setattr(self, field, getattr(type(self), field))
        for field, value in PRESETS[name].items():
            setattr(self, field, value)
        # The tracker chooses its memories by how good they are except in the ablation.
        self.tracker_config.use_memory_selection = name != "ablation"
        return self

    @property
    def image_size(self) -> int | list[int] | tuple[int, int]:
        """Side of the image in pixels, as the detector has it."""
        return self.detector_config.image_size

    @image_size.setter
    def image_size(self, value: int) -> None:
        self.detector_config.image_size = value
        self.tracker_config.image_size = value
