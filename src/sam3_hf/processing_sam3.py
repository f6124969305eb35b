"""Processor: images, texts and boxes in; what the model takes out. And back: results from the model's outputs.

images -> image processor -> pixel_values [N, 3, H, W], original_sizes [N, 2]
texts, boxes -> rows -> input_ids, attention_mask [P, 32]; input_boxes [P, M, 4]; which image each row is about [P]
"""

from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer
from transformers.image_processing_base import BatchFeature
from transformers.processing_utils import ProcessorMixin

from sam3_hf.hub import LoadsFromHub
from sam3_hf.image_processing_sam3 import Sam3ImageProcessor
from sam3_hf.inputs.boxes import pad_boxes
from sam3_hf.inputs.packing import pack
from sam3_hf.inputs.prompts import Rows, lay_out
from sam3_hf.inputs.sizes import read_sizes
from sam3_hf.inputs.texts import tokenize
from sam3_hf.tokenization_sam3 import checked_tokenizer

# What says where files are, and so is meant for every part that `from_pretrained` loads.
_WHERE = ("cache_dir", "force_download", "local_files_only", "token", "revision", "subfolder")


class Sam3Processor(LoadsFromHub, ProcessorMixin):
    """Joins the image processor and the tokenizer.

    Args:
        image_processor: A `Sam3ImageProcessor`.
        tokenizer: Any CLIP tokenizer; see `build_tokenizer`.
        target_size: Kept for compatibility, and told in the saved file; the image processor's `size` is what counts.
        point_pad_value: Fills `input_boxes` and `input_boxes_labels` where a row has fewer boxes than another.
    """

    def __init__(
        self,
        image_processor: Any,
        tokenizer: Any,
        target_size: int | None = None,
        point_pad_value: int = -10,
        **kwargs: Any,
    ) -> None:
        """Join the parts."""
        super().__init__(image_processor, tokenizer, **kwargs)
        self.target_size = target_size if target_size is not None else image_processor.size["height"]
        self.point_pad_value = point_pad_value

    def __call__(
        self,
        images: Any = None,
        text: Any = None,
        segmentation_maps: Any = None,
        input_boxes: Any = None,
        input_boxes_labels: Any = None,
        original_sizes: Any = None,
        return_tensors: Any = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Model inputs; every argument is optional, but something must be asked or shown.

        A prompt row is one text, with or without boxes, about one image. With N images, N texts are one per image; with
        one image, any number of texts are about it; `[["cat", "dog"], ["ear"]]` groups them by image.

        Args:
            images: What `Sam3ImageProcessor.preprocess` takes.
            text: One string for all images, a list per row, or lists per image. `None` where only boxes ask.
            segmentation_maps: One map of labels per image.
            input_boxes: Per row a list of boxes, or `None`; `[[[x1, y1, x2, y2]]]` in pixels of the row's image. Lists,
                arrays or tensors; one level deeper where prompts are grouped by image.
            input_boxes_labels: One per box: 1 such objects (default), 0 not such objects, -10 padding.
            original_sizes: `(height, width)` of each image, where boxes are given without the images.
            return_tensors: `"pt"`, `"np"`, or `None` for lists.
            **kwargs: `image_index` (the image of each row, where that is not clear), `device`, and with images all that
                `Sam3ImageProcessor.preprocess` takes.

        Returns:
            What was given, of: `pixel_values` float32 `(N, 3, height, width)`, `original_sizes` int64 `(N, 2)`,
            `labels` int64 `(N, height, width)`, `input_ids` and `attention_mask` int64 `(P, 32)`, `input_boxes` float32
            `(P, M, 4)` (relative centre x, y, width, height), `input_boxes_labels` int64 `(P, M)`, and `image_index`
            int64 `(P,)` where rows are not simply one per image.

        Raises:
            TypeError: Unknown keyword.
            ValueError: Inputs that cannot be read, or do not match each other.
        """
        image_index, device = kwargs.pop("image_index", None), kwargs.pop("device", None)
        encoding = BatchFeature({})
        if images is not None:
            encoding = self.image_processor(
                images, segmentation_maps=segmentation_maps, return_tensors=return_tensors, **kwargs
            )
        elif segmentation_maps is not None:
            raise ValueError("Got segmentation_maps without images.")
        elif kwargs:
            raise TypeError(f"Without images, these keywords are unknown: {', '.join(kwargs)}.")
        sizes = _agreed_sizes(encoding.get("original_sizes"), original_sizes)
        rows = lay_out(text, input_boxes, input_boxes_labels, None if sizes is None else len(sizes), image_index)
        prompts = self._encode(rows, sizes)
        if image_index is None and _is_plain(rows.images, sizes):
            prompts.pop("image_index", None)
        encoding.update(pack({name: list(values) for name, values in prompts.items()}, return_tensors, device))
        if not encoding:
            raise ValueError("Pass at least one of images, text, input_boxes and original_sizes.")
        if device is not None:
            encoding.to(device)
        return encoding

    def post_process_object_detection(
        self,
        outputs: Any,
        threshold: float | int = 0.3,
        target_sizes: Any = None,
        nms_threshold: float | int | None = None,
    ) -> list[dict]:
        """See `Sam3ImageProcessor.post_process_object_detection`."""
        return self.image_processor.post_process_object_detection(outputs, threshold, target_sizes, nms_threshold)

    def post_process_instance_segmentation(
        self,
        outputs: Any,
        threshold: float | int = 0.3,
        mask_threshold: float | int = 0.5,
        target_sizes: Any = None,
        masks: str = "dense",
        nms_threshold: float | int | None = None,
    ) -> list[dict]:
        """See `Sam3ImageProcessor.post_process_instance_segmentation`."""
        return self.image_processor.post_process_instance_segmentation(
            outputs, threshold, mask_threshold, target_sizes, masks, nms_threshold
        )

    def post_process_semantic_segmentation(
        self,
        outputs: Any,
        target_sizes: Any = None,
        threshold: float | int = 0.5,
        return_segmentation_scores: bool = False,
    ) -> list[Any]:
        """See `Sam3ImageProcessor.post_process_semantic_segmentation`."""
        return self.image_processor.post_process_semantic_segmentation(
            outputs, target_sizes, threshold, return_segmentation_scores
        )

    @property
    def model_input_names(self) -> list[str]:
        """What a call can return for the model."""
        return [
            *self.image_processor.model_input_names,
            *self.tokenizer.model_input_names,
            *("input_boxes", "input_boxes_labels", "image_index"),
        ]

    def _encode(self, rows: Rows, sizes: list[tuple[int, int]] | None) -> dict[str, Tensor]:
        """Everything but the images, as tensors of one row per prompt."""
        tensors = {}
        if sizes is not None:
            tensors["original_sizes"] = torch.tensor(sizes)
        if rows.texts is not None:
            tensors["input_ids"], tensors["attention_mask"] = tokenize(rows.texts, self.tokenizer)
        if rows.images is not None:
            tensors["image_index"] = torch.tensor(rows.images)
        if rows.boxes is not None and rows.images is not None:
            if sizes is None:
                raise ValueError("Boxes in pixels need the images, or their original_sizes.")
            row_sizes = [sizes[image] for image in rows.images]
            boxes, labels = pad_boxes(rows.boxes, rows.labels, row_sizes, self.point_pad_value)
            tensors["input_boxes"], tensors["input_boxes_labels"] = boxes, labels
        return tensors

    @classmethod
    def _get_arguments_from_pretrained(cls, source: Any, processor_dict: Any = None, **kwargs: Any) -> list[Any]:
        """Our image processor, whatever the Auto classes know; and the tokenizer, which takes no image options."""
        where = {name: value for name, value in kwargs.items() if name in _WHERE}
        return [
            Sam3ImageProcessor.from_pretrained(source, **kwargs),
            checked_tokenizer(AutoTokenizer.from_pretrained(source, **where), source),
        ]


def _agreed_sizes(of_images: Any, given: Any) -> list[tuple[int, int]] | None:
    """Size of each image, from the images or as given, which must not contradict each other."""
    seen, told = (None if sizes is None else read_sizes(sizes, "original_sizes") for sizes in (of_images, given))
    if seen and told and seen != told:
        raise ValueError(f"The images have the sizes {seen}, but original_sizes says {told}; leave it out.")
    return seen or told


def _is_plain(images: list[int] | None, sizes: list[tuple[int, int]] | None) -> bool:
    """Whether rows are simply one per image, as the model takes them without `image_index`."""
    return images is None or images == list(range(len(images if sizes is None else sizes)))
