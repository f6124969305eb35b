"""The model's parts as calls, each on inputs of its own: those it has in one real pass.

subject -> {step: {side: call}}; sides are `sam3_hf`, and with `against` also `transformers` and `plain`
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
import transformers
from torch import Tensor
from torch.utils._pytree import tree_map

from sam3_hf.benchmarking import samples
from sam3_hf.benchmarking.models import Subject, build_theirs
from sam3_hf.benchmarking.settings import Settings
from sam3_hf.benchmarking.timing import Call
from sam3_hf.benchmarking.work import Load
from sam3_hf.text.encoder import columns_read

OURS, THEIRS, PLAIN = "sam3_hf", f"transformers {transformers.__version__}", "sam3_hf, one call per prompt"
# What each step is called, and the attribute of the models that holds it; both have the same.
_INNER = {"geometry": "geometry_encoder", "encoder": "detr_encoder", "decoder": "detr_decoder", "masks": "mask_decoder"}
STEPS = ("preprocess", "vision", "text", *_INNER, "forward", "postprocess", "postprocess-rle", "end-to-end")
_COMPILED = ("vision_encoder", "text_encoder", *_INNER.values())
_BOX = (0.5, 0.5, 0.3, 0.3)


class Steps:
    """All steps for a number of images and, for each of them, of prompts.

    Args:
        subject: Our model.
        settings: What to compare with, and sizes.
        images: Images in one call.
        prompts: Texts per image; those of the geometry step also have a box.
    """

    def __init__(self, subject: Subject, settings: Settings, images: int = 1, prompts: int = 1) -> None:
        self.subject, self.settings, self.images, self.prompts = subject, settings, images, prompts
        model, rows = subject.model, images * prompts
        self.pictures = [samples.picture(settings.picture)] * images
        self.pixels = torch.rand(images, 3, subject.side, subject.side, device=model.device, dtype=model.dtype) * 2 - 1
        text = subject.processor(text=samples.names(rows), return_tensors="pt").to(model.device)
        self.text: dict[str, Tensor] = {"input_ids": text["input_ids"], "attention_mask": text["attention_mask"]}
        self.image_index = torch.arange(images, device=model.device).repeat_interleave(prompts)

    @property
    def load(self) -> Load:
        """What one call of `forward` is asked."""
        rows = self.images * self.prompts
        length = columns_read(self.text["attention_mask"].bool())
        return Load(self.images, texts=rows, rows=rows, side=self.subject.side, length=length)

    def sides(self, step: str) -> dict[str, Call]:
        """The calls that do this step's work; each with gradients off."""
        made = getattr(self, "_" + step.replace("-", "_"), None) or (lambda: self._inner(_INNER[step]))
        return {side: torch.inference_mode()(_fresh(call)) for side, call in made().items()}

    @cached_property
    def theirs(self) -> tuple[Any, Any]:
        """transformers' model, compiled as ours is, and image processor."""
        model, images = build_theirs(self.subject, self.settings.attention)
        if self.settings.compile:
            compile_model(model, self.settings.compile)
        return model, images

    def _both(self, make: Callable[[Any, Any], Call]) -> dict[str, Call]:
        """One call for each side, made of its model and image processor."""
        calls = {OURS: make(self.subject.model, self.subject.processor.image_processor)}
        return calls | ({THEIRS: make(*self.theirs)} if "transformers" in self.settings.against else {})

    def _preprocess(self) -> dict[str, Call]:
        return self._both(lambda _, images: lambda: images(self.pictures, return_tensors="pt"))

    def _vision(self) -> dict[str, Call]:
        return self._both(lambda model, _: lambda: model.get_vision_features(self.pixels))

    def _text(self) -> dict[str, Call]:
        return self._both(lambda model, _: lambda: model.get_text_features(**self.text))

    def _inner(self, name: str) -> dict[str, Call]:
        return self._both(lambda model, _: self._inner_calls(model)[name])

    def _inner_calls(self, model: Any) -> dict[str, Call]:
        """Every inner part on what it is given in a real pass with one text and one box per row."""
        if id(model) not in self._seen:
            boxes = torch.tensor(_BOX, device=model.device, dtype=model.dtype).expand(self.prompts, 1, 4)
            with torch.inference_mode():
                vision = model.get_vision_features(self.pixels[:1])
                text = {name: values[: self.prompts] for name, values in self.text.items()}
                self._seen[id(model)] = _watched(model, lambda: _ask(model, vision, text, input_boxes=boxes))
        return self._seen[id(model)]

    @cached_property
    def _seen(self) -> dict[int, dict[str, Call]]:
        return {}

    def _forward(self) -> dict[str, Call]:
        model = self.subject.model
        calls = {OURS: lambda: model(pixel_values=self.pixels, image_index=self.image_index, **self.text)}
        if "transformers" in self.settings.against:
            calls[THEIRS] = self._their_forward
        if "plain" in self.settings.against:
            calls[PLAIN] = self._plain_forward
        return calls

    def _their_forward(self) -> None:
        """Vision features once per image, then one prompt after the other."""
        model = self.theirs[0]
        for image in range(self.images):
            vision = model.get_vision_features(self.pixels[image : image + 1])
            for row in range(image * self.prompts, (image + 1) * self.prompts):
                model(vision_embeds=vision, **_row(self.text, row))

    def _plain_forward(self) -> None:
        for row, image in enumerate(self.image_index.tolist()):
            self.subject.model(pixel_values=self.pixels[image : image + 1], **_row(self.text, row))

    def _postprocess(self, **options: str) -> dict[str, Call]:
        outputs, sizes = samples.outputs(self.settings.objects), [self.settings.picture]
        return self._both(
            lambda _, images: lambda: images.post_process_instance_segmentation(outputs, 0.5, 0.5, sizes, **options)
        )

    def _postprocess_rle(self) -> dict[str, Call]:
        outputs, sizes = samples.outputs(self.settings.objects), [self.settings.picture]
        images = self.subject.processor.image_processor
        return {OURS: lambda: images.post_process_instance_segmentation(outputs, 0.5, 0.5, sizes, masks="rle")}

    def _end_to_end(self) -> dict[str, Call]:
        """Pictures to masks at their size; random weights find next to nothing, so masks hardly count."""

        def ours() -> None:
            model, processor = self.subject.model, self.subject.processor
            inputs = processor.image_processor(self.pictures, return_tensors="pt").to(model.device)
            outputs = model(pixel_values=inputs["pixel_values"], image_index=self.image_index, **self.text)
            processor.post_process_instance_segmentation(outputs, 0.5, target_sizes=inputs["original_sizes"])

        def theirs() -> None:
            model, images = self.theirs
            inputs = images(self.pictures, return_tensors="pt").to(model.device)
            for image, pixels in enumerate(inputs["pixel_values"].to(model.dtype)):
                vision = model.get_vision_features(pixels[None])
                for row in range(image * self.prompts, (image + 1) * self.prompts):
                    outputs = model(vision_embeds=vision, **_row(self.text, row))
                    images.post_process_instance_segmentation(outputs, 0.5, 0.5, [self.settings.picture])

        calls: dict[str, Call] = {OURS: ours}
        return calls | ({THEIRS: theirs} if "transformers" in self.settings.against else {})


def compile_model(model: Any, mode: str) -> None:
    """Compile a model as a whole in place, and every part for when it runs alone, in a mode of `torch.compile`."""
    model.compile(mode=mode)
    for name in _COMPILED:
        getattr(model, name).compile(mode=mode)


def _fresh(call: Call) -> Call:
    """A call after which CUDA graphs of compiled parts may write over the results of the one before."""

    def step() -> object:
        torch.compiler.cudagraph_mark_step_begin()
        return call()

    return step


def _ask(model: Any, vision: Any, text: dict[str, Tensor], input_boxes: Tensor) -> None:
    """Both models take prompts of several rows on one image, theirs with the features repeated by hand."""
    rows = len(input_boxes)
    labels = torch.ones(rows, 1, dtype=torch.long, device=input_boxes.device)
    if not type(model).__module__.startswith("sam3_hf."):
        vision.fpn_hidden_states = tuple(level.expand(rows, -1, -1, -1) for level in vision.fpn_hidden_states)
        vision.fpn_position_encoding = tuple(level.expand(rows, -1, -1, -1) for level in vision.fpn_position_encoding)
    model(vision_embeds=vision, input_boxes=input_boxes, input_boxes_labels=labels, **text)


def _watched(model: Any, run: Callable[[], None]) -> dict[str, Call]:
    """Calls of the inner parts with the arguments that they are given while something runs."""
    given: dict[str, tuple[Any, Any]] = {}

    def keep(name: str, *arguments: Any) -> None:
        # Copies, because CUDA graphs of compiled parts use the memory of their results again.
        copies = tree_map(lambda each: each.clone() if isinstance(each, Tensor) else each, arguments)
        given.setdefault(name, copies)

    hooks = [
        getattr(model, name).register_forward_pre_hook(
            lambda _, args, options, name=name: keep(name, args, options), with_kwargs=True
        )
        for name in _INNER.values()
    ]
    run()
    for hook in hooks:
        hook.remove()
    return {name: lambda name=name: getattr(model, name)(*given[name][0], **given[name][1]) for name in given}


def _row(text: dict[str, Tensor], row: int) -> dict[str, Tensor]:
    return {name: values[row : row + 1] for name, values in text.items()}
