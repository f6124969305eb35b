"""Collator: examples become one batch.

images [N], each with prompts -> pixel_values [N, 3, S, S], input_ids [P, 32], image_index [P], labels of P rows
"""

from collections.abc import Sequence
from typing import Any

from sam3_hf.datasets.examples import ImageExample
from sam3_hf.inputs.sizes import read_size
from sam3_hf.processing_sam3 import Sam3Processor
from sam3_hf.training.labels import boxes_of_examples, label_of


class Sam3Collator:
    """Makes model inputs with labels of a list of `ImageExample`; nothing in it is random.

    Every image is there once, however many prompts are about it.

    Args:
        processor: The processor of the model.
        masks: Whether labels hold masks, where the examples have them; `False` for boxes alone.
        mask_size: (height, width) of the masks; the size of the model's input if not given. A multiple of the size of
            the model's mask logits saves memory.
    """

    def __init__(self, processor: Sam3Processor, masks: bool = True, mask_size: Any = None) -> None:
        self.processor = processor
        self.masks = masks
        self.mask_size = read_size(processor.image_processor.size if mask_size is None else mask_size, "mask_size")

    def __call__(self, examples: Sequence[ImageExample]) -> dict[str, Any]:
        """One batch.

        Raises:
            ValueError: No examples, or an example without prompts.
        """
        if not examples or not all(example.prompts for example in examples):
            raise ValueError("A batch needs examples, and every example at least one prompt.")
        rows = [(number, prompt) for number, example in enumerate(examples) for prompt in example.prompts]
        boxes, box_labels = zip(*(boxes_of_examples(prompt) for _, prompt in rows), strict=True)
        asked = {"input_boxes": list(boxes), "input_boxes_labels": list(box_labels)} if any(boxes) else {}
        batch = self.processor(
            images=[example.image for example in examples],
            text=[prompt.text for _, prompt in rows],
            image_index=[number for number, _ in rows],
            return_tensors="pt",
            **asked,
        )
        has_masks = self.masks and any(prompt.masks is not None for _, prompt in rows)
        mask_size = self.mask_size if has_masks else None
        sizes = [(example.image.height, example.image.width) for example in examples]
        labels = [label_of(prompt, sizes[number], mask_size) for number, prompt in rows]
        return {**batch, "labels": labels}
