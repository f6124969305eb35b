"""The pipeline "promptable-segmentation": images and prompts in, objects out, as other pipelines give them.

images, texts, boxes -> batches -> model inputs, one row per prompt -> outputs -> [{score, label, box, mask}] per prompt
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import Pipeline
from transformers.image_processing_base import BatchFeature
from transformers.image_utils import load_image

from sam3_hf.feature_cache import FeatureCache
from sam3_hf.inputs.prompts import BOXES_ONLY
from sam3_hf.processing_sam3 import Sam3Processor

Item = dict[str, Any]
Found = list[dict[str, Any]]


class PromptableSegmentationPipeline(Pipeline):
    """Every object that matches a noun phrase, example boxes, or both.

        from transformers import pipeline
        segment = pipeline("promptable-segmentation", model="facebook/sam3")
        segment("photo.jpg", text="yellow school bus")

    Images of a batch share one forward pass, and all prompts of an image share one pass over it.

    Args:
        args: Model, and what else every pipeline takes.
        cache_bytes: Memory for features of the texts and images used last, so that the next call need not compute them
            again. Only for a model whose weights stay as they are.
        kwargs: Options of every pipeline, and of `__call__`.
    """

    _load_processor = True
    _load_image_processor = False
    _load_feature_extractor = False
    _load_tokenizer = False
    processor: Sam3Processor

    def __init__(self, *args: Any, cache_bytes: int = 0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.features = FeatureCache(self.model, cache_bytes)  # pyright: ignore[reportArgumentType]

    def __call__(self, images: Any, text: Any = None, boxes: Any = None, box_labels: Any = None, **kwargs: Any) -> Any:
        """Find objects.

        Args:
            images: A path, an address, a PIL image, a list of these, or an iterable of dictionaries with the keys
                `image`, `text`, `boxes` and `box_labels` for prompts that differ from image to image.
            text: A noun phrase, or a list of them; each is a prompt of its own, on every image.
            boxes: Example boxes `[[x1, y1, x2, y2], ...]` in pixels, for every text alike, or alone.
            box_labels: 1 for each box that shows what to find (default), 0 for what not to find.
            threshold: Objects with a higher score are kept (0.5).
            mask_threshold: Pixels with a higher probability belong to an object (0.5).
            top_k: Keep at most so many objects per prompt.
            batch_size: Images per forward pass (1).

        Returns:
            Per image the objects of its prompt, the surest first, each a dictionary: `score`; `label`, the text (or
            "visual" for boxes alone); `box` with `xmin`, `ymin`, `xmax`, `ymax` in whole pixels; `mask`, a PIL image of
            mode "L" with 255 on the object. For a list of texts a list of such lists, one per text; for several images
            a list of all that.

        Raises:
            ValueError: No prompt, or one that the processor cannot use.
        """
        prompt = {"text": text, "boxes": boxes, "box_labels": box_labels}
        if isinstance(images, (str, Image.Image)):
            return super().__call__({"image": images} | prompt, **kwargs)
        if isinstance(images, dict):
            return super().__call__(prompt | images, **kwargs)
        items = (prompt | image if isinstance(image, dict) else {"image": image} | prompt for image in images)
        found: Any = super().__call__(items, **kwargs)
        return list(found)

    def _sanitize_parameters(self, **kwargs: Any) -> tuple[dict, dict, dict]:
        preprocessing = {key: kwargs.pop(key) for key in ("timeout",) if key in kwargs}
        known = ("threshold", "mask_threshold", "top_k")
        postprocessing = {key: kwargs.pop(key) for key in known if key in kwargs}
        if kwargs:
            raise TypeError(f"Unknown options {', '.join(kwargs)}; there are {', '.join(known)} and timeout.")
        return preprocessing, {}, postprocessing

    def preprocess(self, input_: Item | list[Item], timeout: float | None = None) -> dict[str, Any]:
        """Model inputs of one image or a batch of them, with what is needed to read the outputs."""
        items = input_ if isinstance(input_, list) else [input_]
        images = [load_image(item["image"], timeout=timeout) for item in items]
        inputs = self.processor(
            images=images,
            text=[_texts(item) for item in items],
            return_tensors="pt",
            **_boxes(items),
        )
        return {"inputs": inputs, "items": items, "sizes": inputs.pop("original_sizes").tolist()}

    def _forward(self, input_tensors: dict[str, Any], **options: Any) -> dict[str, Any]:
        inputs: BatchFeature = input_tensors.pop("inputs")
        vision = self.features.vision(inputs.pop("pixel_values"))
        text = self.features.text(inputs.pop("input_ids"), inputs.pop("attention_mask"))
        return input_tensors | {"outputs": self.model(vision_embeds=vision, text_embeds=text, **inputs)}

    def postprocess(self, model_outputs: dict[str, Any], **options: Any) -> Any:
        """The objects of one image."""
        return self._read(model_outputs, **options)[0]

    def get_iterator(
        self,
        inputs: Iterable[Item],
        num_workers: int,
        batch_size: int,
        preprocess_params: dict[str, Any],
        forward_params: dict[str, Any],
        postprocess_params: dict[str, Any],
    ) -> Iterator[Any]:
        """Results image by image, `batch_size` images at a time; prompts of a batch may differ."""
        remaining = iter(inputs)
        while batch := list(islice(remaining, batch_size)):
            encoded = self.preprocess(batch, **preprocess_params)
            outputs: Any = self.forward(encoded, **forward_params)
            yield from self._read(outputs, **postprocess_params)

    def _read(
        self,
        model_outputs: dict[str, Any],
        threshold: float = 0.5,
        mask_threshold: float = 0.5,
        top_k: int | None = None,
    ) -> list[Any]:
        """The objects of every image of a batch."""
        rows = self.processor.post_process_instance_segmentation(
            model_outputs["outputs"], threshold, mask_threshold, model_outputs["sizes"]
        )
        remaining = iter(rows)
        results = []
        for item in model_outputs["items"]:
            found = [_objects(next(remaining), text or BOXES_ONLY, top_k) for text in _texts(item)]
            results.append(found if isinstance(item.get("text"), (list, tuple)) else found[0])
        return results


def _texts(item: Item) -> list[str | None]:
    """The texts of an item, one per prompt row."""
    text = item.get("text")
    return list(text) if isinstance(text, (list, tuple)) else [text]


def _boxes(items: list[Item]) -> dict[str, Any]:
    """Boxes and their labels, nested as the processor takes them: per image, per prompt."""
    if not any(item.get("boxes") is not None for item in items):
        return {}
    rows = {"input_boxes": "boxes", "input_boxes_labels": "box_labels"}
    nested = {name: [[item.get(key)] * len(_texts(item)) for item in items] for name, key in rows.items()}
    if all(item.get("box_labels") is None for item in items):
        nested.pop("input_boxes_labels")
    return nested


def _objects(found: dict[str, Tensor], label: str, top_k: int | None) -> Found:
    """What was found for one prompt, the surest first."""
    order = found["scores"].argsort(descending=True, stable=True)[:top_k]
    return [
        {
            "score": found["scores"][index].item(),
            "label": label,
            "box": dict(zip(("xmin", "ymin", "xmax", "ymax"), found["boxes"][index].int().tolist(), strict=True)),
            "mask": Image.fromarray((found["masks"][index].to("cpu", torch.uint8) * 255).numpy()),
        }
        for index in order.tolist()
    ]
