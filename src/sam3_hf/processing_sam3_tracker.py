"""Processor of the interactive half: images and prompts on objects in; masks at image size out.

images -> image processor -> pixel_values [B, 3, H, W], original_sizes [B, 2]
points, labels, boxes in pixels -> input_points [B, O, N, 2], input_labels [B, O, N], input_boxes [B, O, 4]
"""

from typing import Any

import torch
from torch import Tensor
from transformers.image_processing_base import BatchFeature
from transformers.processing_utils import ProcessorMixin

from sam3_hf.hub import LoadsFromHub
from sam3_hf.image_processing_sam3 import Sam3ImageProcessor
from sam3_hf.inputs.clicks import read_object_prompts
from sam3_hf.inputs.packing import pack
from sam3_hf.inputs.sizes import read_sizes


class Sam3TrackerProcessor(LoadsFromHub, ProcessorMixin):
    """Image processor, and the arithmetic of points and boxes.

    Args:
        image_processor: A `Sam3ImageProcessor`.
        target_size: Side in pixels of the input that points and boxes are scaled to; the image processor's by default.
        point_pad_value: Fills prompts where an object has fewer points, or an image fewer objects, than another.
    """

    def __init__(
        self, image_processor: Any, target_size: int | None = None, point_pad_value: int = -10, **kwargs: Any
    ) -> None:
        """Join the parts."""
        super().__init__(image_processor, **kwargs)
        self.target_size = target_size if target_size is not None else image_processor.size["height"]
        self.point_pad_value = point_pad_value

    def __call__(
        self,
        images: Any = None,
        segmentation_maps: Any = None,
        input_points: Any = None,
        input_labels: Any = None,
        input_boxes: Any = None,
        original_sizes: Any = None,
        return_tensors: Any = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Model inputs.

        Args:
            images: What `Sam3ImageProcessor.preprocess` takes.
            segmentation_maps: One map of labels per image.
            input_points: Per image, per object, a list of points x, y in pixels: `[[[[450, 600]]]]` is one point on one
                object in one image. `None` for an image or object without points.
            input_labels: One per point: 1 on the object (default), 0 not on it, 2 and 3 corners of a box around it,
                -1 no point, -10 padding.
            input_boxes: Per image, per object, x1, y1, x2, y2 in pixels of the box around this one object; `None` for
                an object without box.
            original_sizes: `(height, width)` of each image, where prompts are given without the images.
            return_tensors: `"pt"`, `"np"`, or `None` for lists.
            **kwargs: `device`, and with images all that `Sam3ImageProcessor.preprocess` takes.

        Returns:
            What was given, of: `pixel_values` float32 `(B, 3, height, width)`, `original_sizes` int64 `(B, 2)`,
            `labels` int64 `(B, height, width)`, and in pixels of the model's input
            `input_points` float32 `(B, O, N, 2)`, `input_labels` int64 `(B, O, N)`, `input_boxes` float32 `(B, O, 4)`,
            padded with -10.

        Raises:
            TypeError: Unknown keyword.
            ValueError: Inputs that cannot be read, or do not match each other.
        """
        device = kwargs.pop("device", None)
        encoding, sizes = self._images(images, segmentation_maps, original_sizes, return_tensors, device, kwargs)
        given = read_object_prompts(
            input_points, input_labels, input_boxes, sizes, self.target_size, self.point_pad_value
        )
        tensors = {"input_points": given.points, "input_labels": given.labels, "input_boxes": given.boxes}
        rows = {name: list(tensor) for name, tensor in tensors.items() if tensor is not None}
        encoding.update(pack({"original_sizes": list(torch.tensor(sizes)), **rows}, return_tensors, device))
        return encoding

    def post_process_masks(self, masks: Any, original_sizes: Any, *args: Any, **kwargs: Any) -> list[Tensor]:
        """See `Sam3ImageProcessor.post_process_masks`."""
        return self.image_processor.post_process_masks(masks, original_sizes, *args, **kwargs)

    @property
    def model_input_names(self) -> list[str]:
        """What a call can return for the model."""
        prompts = ["input_points", "input_labels", "input_boxes"]
        return [*self.image_processor.model_input_names, "original_sizes", *prompts]

    def _images(
        self, images: Any, maps: Any, original_sizes: Any, return_tensors: Any, device: Any, options: dict[str, Any]
    ) -> tuple[BatchFeature, list[tuple[int, int]]]:
        """What becomes of the images, and their sizes."""
        told = None if original_sizes is None else read_sizes(original_sizes, "original_sizes")
        if images is None:
            if told is None:
                raise ValueError("Pass images, or the original_sizes of those that the prompts are about.")
            if options or maps is not None:
                raise TypeError(f"Without images, these are unknown: {', '.join([*options, 'segmentation_maps'])}.")
            return BatchFeature({}), told
        encoding = self.image_processor(
            images, segmentation_maps=maps, return_tensors=return_tensors, device=device, **options
        )
        sizes = read_sizes(encoding["original_sizes"], "original_sizes")
        if told is not None and told != sizes:
            raise ValueError(f"The images have the sizes {sizes}, but original_sizes says {told}; leave it out.")
        return encoding, sizes

    @classmethod
    def _get_arguments_from_pretrained(cls, source: Any, processor_dict: Any = None, **kwargs: Any) -> list[Any]:
        """Our image processor, whatever the Auto classes know."""
        return [Sam3ImageProcessor.from_pretrained(source, **kwargs)]
