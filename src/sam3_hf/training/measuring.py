"""Measuring: what a model in training finds, compared with what is there.

model, examples -> every process predicts its share -> all predictions -> metrics, alike in every process
"""

from collections.abc import Sequence
from typing import Any

from accelerate import PartialState
from accelerate.utils import gather_object
from torch import nn

from sam3_hf.datasets.examples import ImageExample
from sam3_hf.evaluation.datapoints import IOU_TYPES, Datapoint, Detections, GroundTruth, IouType
from sam3_hf.evaluation.images import evaluate_images
from sam3_hf.evaluation.models import batches, datapoint_of, evaluating, predict

# Those of many that tell how a run goes.
SHOWN = ("cgF1", "cgF1@0.5", "cgF1@0.75", "pmF1", "IL_MCC", "precision", "recall")
Answer = tuple[tuple[int, int], Detections, dict[IouType, Datapoint]]


class Measure:
    """The metrics of `sam3_hf.evaluation.models.evaluate_model` in `SHOWN`, computed by all processes together.

    Args:
        processor: The processor of the model.
        iou_types: "segm" for masks, "bbox" for boxes.
        images_at_once: Images in one pass of the vision encoder.
        prompts_at_once: Prompts in one pass of the detector.
    """

    def __init__(
        self,
        processor: Any,
        iou_types: Sequence[IouType] = IOU_TYPES,
        images_at_once: int = 1,
        prompts_at_once: int = 16,
    ) -> None:
        self.processor = processor
        self.iou_types = tuple(iou_types)
        self.images_at_once = images_at_once
        self.prompts_at_once = prompts_at_once

    def __call__(self, model: nn.Module, examples: Any) -> dict[str, float]:
        """Metrics by name, such as `segm_cgF1`.

        Args:
            model: A `Sam3Model`, with or without adapters.
            examples: Dataset of `ImageExample`.
        """
        state = PartialState()
        share = range(state.process_index, len(examples), state.num_processes)
        wrapped: Any = model
        plain = wrapped.get_base_model() if hasattr(model, "get_base_model") else model
        with evaluating(plain):
            asked = (self._ask(plain, examples, places) for places in batches(share, self.images_at_once))
            answers = [answer for answers in asked for answer in answers]
        if state.num_processes > 1:
            answers = gather_object(answers)
        return self._compare(sorted(answers, key=lambda answer: answer[0]))

    def _ask(self, model: Any, examples: Any, places: list[int]) -> list[Answer]:
        """What is found and what is annotated for every prompt of a few images."""
        shown: list[ImageExample] = [examples[place] for place in places]
        found = iter(predict(model, self.processor, shown, self.prompts_at_once, "segm" in self.iou_types))
        return [
            ((place, row), next(found), {kind: datapoint_of(0, example, prompt, kind) for kind in self.iou_types})
            for place, example in zip(places, shown, strict=True)
            for row, prompt in enumerate(example.prompts)
        ]

    def _compare(self, answers: list[Answer]) -> dict[str, float]:
        predictions = {id: found for id, (_, found, _) in enumerate(answers)}
        metrics = {}
        for kind in self.iou_types:
            truth = GroundTruth({id: annotated[kind] for id, (_, _, annotated) in enumerate(answers)})
            values = evaluate_images(predictions, [truth], kind)
            metrics |= {f"{kind}_{name}": values[name] for name in SHOWN}
        return metrics
