"""Image processor: images in; scores, boxes and masks out at image size.

images            -> RGB, resized, rescaled, normalized -> pixel_values [N, 3, H, W], original_sizes [N, 2]
segmentation maps -> resized                            -> labels [N, h, w]
model outputs, one row per prompt -> kept by score, scaled to the row's image -> one result per row
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from transformers.image_processing_base import BatchFeature
from transformers.image_processing_utils import BaseImageProcessor
from transformers.processing_utils import ImagesKwargs

from sam3_hf.hub import LoadsFromHub
from sam3_hf.image_processing_sam3_tracker import ObjectMaskProcessing
from sam3_hf.inputs.images import as_list, read_image, read_map
from sam3_hf.inputs.packing import pack
from sam3_hf.inputs.pixels import Preprocessing
from sam3_hf.inputs.reduced import ReducedImage, read_reduced
from sam3_hf.inputs.sizes import read_sizes
from sam3_hf.ops.boxes import scale_boxes
from sam3_hf.ops.masks import binarize_at, encode_rle, logit_threshold, resize_logits, rle_at
from sam3_hf.ops.nms import kept_above

_OPTIONS = [field.name for field in fields(Preprocessing)]
# Options of other image processors, which their files hold too; `None` or the value here is what SAM 3 does.
_FIXED = {"do_pad": False, "do_center_crop": False, "data_format": "channels_first", "default_to_square": True}
_IGNORED = {"crop_size", "pad_size", "mask_pad_size", "disable_grouping", "image_seq_length"}
_OF_A_CALL = {"input_data_format", "device", "return_tensors"}
_OF_A_FILE = {"image_processor_type", "feature_extractor_type", "processor_class", "auto_map"}


class Sam3ImageProcessorKwargs(ImagesKwargs, total=False):
    """Options by which `from_pretrained` and a call can change an image processor; see `Preprocessing`."""

    mask_size: Any
    fast_decode: bool


class Sam3ImageProcessor(LoadsFromHub, ObjectMaskProcessing, BaseImageProcessor):
    """Makes model inputs of images, and scores, boxes and masks of model outputs.

    Args:
        nms_threshold: Of objects of one prompt whose boxes overlap by more than this (intersection over union), only
            the surest is kept. `None`, as in the original, keeps all: its queries say each object once. A small model
            that says some twice is helped by 0.5. Videos have a rule of their own, `Sam3VideoConfig.det_nms_thresh`.
        **kwargs: Fields of `sam3_hf.inputs.pixels.Preprocessing` (`size`, `mask_size`, `do_resize`, `resample`,
            `do_rescale`, `rescale_factor`, `do_normalize`, `image_mean`, `image_std`, `do_convert_rgb`,
            `fast_decode`); `None` is the default. What transformers' image processors write to their files is accepted
            too.

    Raises:
        TypeError: Unknown option.
        ValueError: Option out of range, or one that SAM 3 does not have, such as `do_pad=True`.
    """

    model_input_names = ["pixel_values"]  # noqa: RUF012 (the type is transformers')
    valid_kwargs = Sam3ImageProcessorKwargs

    def __init__(self, nms_threshold: float | int | None = None, **kwargs: Any) -> None:
        """Take the options given, and SAM 3's for the rest."""
        super().__init__()
        self.nms_threshold = _checked_overlap(nms_threshold)
        known = {
            name: value for name, value in kwargs.items() if name not in _OF_A_CALL | _OF_A_FILE and value is not None
        }
        options = Preprocessing(**_only_options(known))
        for name in _OPTIONS:
            setattr(self, name, _as_json(name, getattr(options, name)))

    def preprocess(self, images: Any, segmentation_maps: Any = None, **kwargs: Any) -> BatchFeature:
        """Images, and segmentation maps if given, as model inputs.

        Args:
            images: One image, a list of images of any sizes, or a batched array. An image is a PIL image, a file name,
                or an array or tensor `(H, W)`, `(C, H, W)` or `(H, W, C)`: grey, RGB or RGBA; uint8, other whole
                numbers in 0..255, uint16, or float in 0..255 (with `do_rescale=False` in 0..1). PIL images and files
                are turned upright by their EXIF orientation. Also what `sam3_hf.inputs.reduced` makes of files.
            segmentation_maps: One map of labels per image, `(H, W)`, of its image's size.
            **kwargs: `return_tensors` (`"pt"`, `"np"` or `None` for lists), `device`, `input_data_format`
                (`"channels_first"` or `"channels_last"`, where an array could be read both ways), and for this call
                only, every option of the class.

        Returns:
            `pixel_values` float32 `(N, 3, height, width)`, `original_sizes` int64 `(N, 2)` (height, width) of the
            upright images, and with maps `labels` int64 `(N, height, width)` at `mask_size`.

        Raises:
            TypeError: Unknown keyword.
            ValueError: Not an image, not a map, values out of range, or sizes or counts that do not match.
        """
        call = {name: kwargs.pop(name, None) for name in _OF_A_CALL}
        options = self._options(kwargs)
        order = call["input_data_format"]
        pictures = [_read(image, order, options) for image in as_list(images, dimensions=3)]
        sizes = [picture.size for picture in pictures]
        data = {
            "pixel_values": [options.pixel_values(picture.pixels) for picture in pictures],
            "original_sizes": [torch.tensor(size) for size in sizes],
        }
        if segmentation_maps is not None:
            maps = [read_map(values) for values in as_list(segmentation_maps, dimensions=2)]
            _check_maps([tuple(values.shape) for values in maps], sizes)
            data["labels"] = [options.labels(values) for values in maps]
        return pack(data, call["return_tensors"], call["device"])

    def post_process_object_detection(
        self,
        outputs: Any,
        threshold: float | int = 0.3,
        target_sizes: Any = None,
        nms_threshold: float | int | None = None,
    ) -> list[dict]:
        """Scores and boxes of the objects found, per prompt row, in query order.

        Args:
            outputs: Model outputs. `image_index`, where present, says which image each row belongs to.
            threshold: Objects with a higher score are kept; score = sigmoid(pred_logits) * sigmoid(presence_logits).
            target_sizes: `(height, width)` of each image in pixels, as list, array or tensor; one size serves all rows
                of one image. `None` leaves boxes relative, in 0..1.
            nms_threshold: Instead of the processor's own; 1 keeps all.

        Returns:
            Per row `scores` float32 `(K,)` and `boxes` float32 `(K, 4)`, x1, y1, x2, y2, not clipped to the image.

        Raises:
            ValueError: The number of target sizes fits neither the rows nor their images, or `nms_threshold` is not in
                0..1.
        """
        kept = _kept(outputs, threshold, target_sizes, self._overlap(nms_threshold))
        return [{"scores": scores, "boxes": boxes} for scores, boxes, _, _ in kept]

    def post_process_instance_segmentation(
        self,
        outputs: Any,
        threshold: float | int = 0.3,
        mask_threshold: float | int = 0.5,
        target_sizes: Any = None,
        masks: str = "dense",
        nms_threshold: float | int | None = None,
    ) -> list[dict]:
        """Scores, boxes and masks of the objects found, per prompt row, in query order.

        Args:
            outputs: As for `post_process_object_detection`.
            threshold: As for `post_process_object_detection`.
            mask_threshold: A pixel belongs to the object if the sigmoid of its mask logit is higher. Logits are resized
                first, as in the original.
            target_sizes: As for `post_process_object_detection`; `None` also leaves masks at the model's resolution.
            masks: `"dense"`, or `"rle"` for codes of the same masks, which are then never in memory together.
            nms_threshold: As for `post_process_object_detection`.

        Returns:
            Per row `scores` and `boxes` as above, and `masks`: bool `(K, height, width)`, or a list of K run-length
            codes as COCO has them.

        Raises:
            ValueError: As above, `mask_threshold` is not in 0..1, or `masks` is something else.
        """
        if masks not in _MASKS_AS:
            raise ValueError(f'masks is "dense" or "rle"; got {masks!r}.')
        level = logit_threshold(mask_threshold)
        kept = _kept(outputs, threshold, target_sizes, self._overlap(nms_threshold))
        return [
            {"scores": scores, "boxes": boxes, "masks": _MASKS_AS[masks](logits, keep, size, level)}
            for (scores, boxes, keep, size), logits in zip(kept, outputs.pred_masks, strict=True)
        ]

    def post_process_semantic_segmentation(
        self,
        outputs: Any,
        target_sizes: Any = None,
        threshold: float | int = 0.5,
        return_segmentation_scores: bool = False,
    ) -> list[Any]:
        """Where each prompt applies at all, without telling objects apart.

        Args:
            outputs: Model outputs with `semantic_seg`.
            target_sizes: As for `post_process_object_detection`; `None` leaves maps at the model's resolution.
            threshold: A pixel counts if the sigmoid of its logit is higher. Logits are resized first.
            return_segmentation_scores: Return the probabilities too.

        Returns:
            Per row a map of 0 and 1, int64 `(height, width)`; with scores an object with `segmentation` (that map) and
            `segmentation_scores` float32 `(1, height, width)`.

        Raises:
            ValueError: As above, no `semantic_seg`, or `threshold` is not in 0..1.
        """
        if getattr(outputs, "semantic_seg", None) is None:
            raise ValueError("These outputs hold no semantic_seg; pass the outputs of Sam3Model.")
        level = logit_threshold(threshold)
        results = []
        for logits, size in zip(outputs.semantic_seg, _row_sizes(outputs, target_sizes), strict=True):
            logits = resize_logits(logits, size) if size else logits.float()
            found = (logits[0] > level).long()
            scored = (
                {"segmentation": found, "segmentation_scores": logits.sigmoid()} if return_segmentation_scores else None
            )
            results.append(BatchFeature(scored) if scored else found)
        return results

    def _overlap(self, given: float | int | None) -> float | int | None:
        """That of the call, or the processor's."""
        return self.nms_threshold if given is None else _checked_overlap(given)

    def _options(self, changes: Mapping[str, Any]) -> Preprocessing:
        """Those of the processor with the changes of one call."""
        given = {name: value for name, value in changes.items() if value is not None}
        return Preprocessing(**{name: getattr(self, name) for name in _OPTIONS} | _only_options(given))


def _only_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `Preprocessing`, after a check of all others."""
    for name, value in given.items():
        if name in _FIXED and value != _FIXED[name]:
            raise ValueError(f"SAM 3's image processor has no {name}={value!r}; leave it out.")
        if name not in {*_OPTIONS, *_FIXED, *_IGNORED}:
            raise TypeError(f"Unknown option {name!r}; the image processor knows {', '.join(_OPTIONS)}.")
    return {name: value for name, value in given.items() if name in _OPTIONS}


def _as_json(name: str, value: Any) -> Any:
    """As transformers' files hold it."""
    if name in ("size", "mask_size"):
        return {"height": value[0], "width": value[1]}
    return list(value) if isinstance(value, tuple) else value


def _read(image: Any, order: str | None, options: Preprocessing) -> ReducedImage:
    """The pixels of an image, and its size."""
    if isinstance(image, ReducedImage):
        return image
    is_file = isinstance(image, (str, Path)) and not str(image).startswith(("http://", "https://"))
    if options.fast_decode and is_file:
        return read_reduced(image, options.size, options.do_convert_rgb)
    pixels = read_image(image, order, options.do_convert_rgb)
    return ReducedImage(pixels, (pixels.shape[1], pixels.shape[2]))


def _check_maps(maps: list[tuple[int, ...]], images: list[tuple[int, ...]]) -> None:
    if maps != images:
        raise ValueError(f"Each image needs a map of its size; got images (height, width) {images} and maps {maps}.")


def _checked_overlap(nms_threshold: float | int | None) -> float | int | None:
    if nms_threshold is not None and not 0 <= nms_threshold <= 1:
        raise ValueError(f"nms_threshold lies in 0..1, or is None to keep all; got {nms_threshold!r}.")
    return nms_threshold


def _kept(
    outputs: Any, threshold: float | int, target_sizes: Any, nms_threshold: float | int | None
) -> Iterator[tuple[Float[Tensor, "K"], Float[Tensor, "K 4"], Bool[Tensor, "Q"], tuple[int, int] | None]]:
    """Of each row: the scores and boxes kept, which queries these are, and the size of the row's image."""
    all_scores = outputs.pred_logits.float().sigmoid()
    if getattr(outputs, "presence_logits", None) is not None:
        all_scores = all_scores * outputs.presence_logits.float().sigmoid()
    for scores, boxes, size in zip(all_scores, outputs.pred_boxes, _row_sizes(outputs, target_sizes), strict=True):
        keep = kept_above(scores, boxes, threshold, nms_threshold)
        boxes_xyxy = boxes[keep].float()
        yield scores[keep], scale_boxes(boxes_xyxy, size) if size else boxes_xyxy, keep, size


def _row_sizes(outputs: Any, target_sizes: Any) -> list[tuple[int, int]] | list[None]:
    """Size of the image that each prompt row belongs to."""
    rows = len(outputs.pred_logits)
    if target_sizes is None:
        return [None] * rows
    sizes = read_sizes(target_sizes, "target_sizes")
    index = getattr(outputs, "image_index", None)
    images = index.tolist() if index is not None else [0] * rows if len(sizes) == 1 else list(range(rows))
    needed = max(images, default=-1) + 1
    if len(sizes) < needed or (index is None and len(sizes) not in (1, rows)):
        raise ValueError(
            f"Got {len(sizes)} target sizes for {rows} prompt rows of {needed} images; pass one per image."
        )
    return [sizes[image] for image in images]


def _dense(
    logits: Float[Tensor, "Q h w"], keep: Bool[Tensor, "Q"], size: tuple[int, int] | None, level: float
) -> Bool[Tensor, "K H W"]:
    return binarize_at(logits[keep], size, level) if size else logits[keep].float() > level


def _coded(
    logits: Float[Tensor, "Q h w"], keep: Bool[Tensor, "Q"], size: tuple[int, int] | None, level: float
) -> list[dict[str, Any]]:
    """One by one, as all kept logits together are another copy of them."""
    one_by_one = (logits[query] for query in keep.nonzero().flatten().tolist())
    if size is None:
        return [encode_rle(mask.float() > level) for mask in one_by_one]
    return [rle_at(mask[None], size, level)[0] for mask in one_by_one]


_MASKS_AS = {"dense": _dense, "rle": _coded}
