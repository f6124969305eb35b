"""Model card: what a repository with a SAM 3 says of itself.

base model, tables -> README.md with the metadata that the Hub reads, usage that runs, and the licence of the weights
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from huggingface_hub import ModelCard, ModelCardData

LICENSE_LINK = "https://github.com/facebookresearch/sam3/blob/main/LICENSE"

_USAGE = """```python
import torch
from PIL import Image
from sam3_hf import Sam3Model, Sam3Processor

model = Sam3Model.from_pretrained("{source}")
processor = Sam3Processor.from_pretrained("{source}")
image = Image.open("photograph.jpg")
inputs = processor(images=image, text="yellow school bus", return_tensors="pt")
with torch.inference_mode():
    outputs = model(**inputs)
found = processor.post_process_instance_segmentation(outputs, threshold=0.5, target_sizes=inputs["original_sizes"])[0]
```"""


@dataclass(frozen=True)
class CardDetails:
    """What a card can say beyond the model itself.

    Attributes:
        base_model: Hub id of the model that this one comes from.
        description: A sentence or more about this model.
        datasets: Hub ids of what it was trained on.
        parity: Largest difference to the original by output.
        evaluation: Figures by metric, as fractions.
    """

    base_model: str = "facebook/sam3"
    description: str = "Finds, boxes and masks every object in an image that matches a noun phrase or example boxes."
    datasets: list[str] = field(default_factory=list)
    parity: Mapping[str, float] = field(default_factory=dict)
    evaluation: Mapping[str, float] = field(default_factory=dict)


def model_card(source: str, details: CardDetails | None = None) -> ModelCard:
    """The card of the model in `source` (a Hub id, or a folder's name)."""
    details = details or CardDetails()
    metadata = ModelCardData(
        license="other",
        license_name="sam-license",
        license_link=LICENSE_LINK,
        base_model=details.base_model,
        datasets=details.datasets or None,
        library_name="sam3_hf",
        pipeline_tag="image-segmentation",
        tags=["sam3", "segment-anything", "open-vocabulary", "promptable-concept-segmentation"],
    )
    sections = [
        f"---\n{metadata.to_yaml()}\n---",
        f"# {source.split('/')[-1]}",
        f"{details.description} A SAM 3 (Segment Anything with Concepts) that comes from "
        f"[{details.base_model}](https://huggingface.co/{details.base_model}).",
        f"## Usage\n\n{_USAGE.format(source=source)}",
        _table("Evaluation", "metric", "value", {name: f"{value:.4g}" for name, value in details.evaluation.items()}),
        _table(
            "Parity with the original (float32)",
            "output",
            "largest difference",
            {name: f"{value:.1e}" for name, value in details.parity.items()},
        ),
        f"## Licence\n\nThe weights are under Meta's [SAM License]({LICENSE_LINK}).",
    ]
    return ModelCard("\n\n".join(section for section in sections if section) + "\n")


def _table(title: str, name: str, value: str, rows: Mapping[str, str]) -> str:
    """A section with a table, or nothing if there are no rows."""
    lines = [f"## {title}", "", f"| {name} | {value} |", "| --- | --- |", *(f"| {key} | {rows[key]} |" for key in rows)]
    return "\n".join(lines) if rows else ""
