"""Video models with compiled networks follow as they do in eager mode, also where results are written over."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.parametrize("graphs", ["plain", "replayed"])
@pytest.mark.parametrize("kind", ["objects", "phrases"])
def test_compiled_networks_follow_alike(kind: str, graphs: str) -> None:
    # In a process of its own, where shapes are not checked: checks cannot be compiled.
    program = f"from tests.test_compiled_sessions import {kind}_compiled, {graphs}; {graphs}({kind}_compiled)"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


class Overwritten:
    """A backend whose results are spoilt when the next frame begins, as CUDA graphs write over theirs."""

    def __init__(self) -> None:
        self.given: list[torch.Tensor] = []
        self.frames = 0

    def __call__(self, graph: Callable[..., Any], inputs: Any, **_: Any) -> Callable[..., Any]:
        def run(*values: Any) -> tuple[Any, ...]:
            results = tuple(each.clone() if torch.is_tensor(each) else each for each in graph(*values))
            self.given += [each for each in results if torch.is_tensor(each)]
            return results

        return run

    @torch.inference_mode()
    def begin(self) -> None:
        """Spoil what was given until now."""
        self.frames += 1
        for each in self.given:
            each.fill_(torch.nan if each.is_floating_point() else 1)
        self.given.clear()


def plain(follow: Callable[..., int]) -> None:
    """Compiled without graphs."""
    follow(backend="aot_eager")


def replayed(follow: Callable[..., int]) -> None:
    """Compiled as with CUDA graphs."""
    backend = Overwritten()
    with mock.patch.object(torch.compiler, "cudagraph_mark_step_begin", backend.begin):
        frames = follow(backend=backend, options={"triton.cudagraphs": True})
    assert backend.frames >= frames > 1


def assert_compiled(*parts: torch.nn.Module) -> None:
    """Calls of these modules go to a compiled form."""
    assert all(part._compiled_call_impl is not None for part in parts)


def objects_compiled(**options: Any) -> int:
    """Clicked objects, and one that is clicked later."""
    from tests.support import video_golden as golden

    seen = []
    for compiled in (False, True):
        # Memories in bfloat16 would round the last digits, in which both differ, to another number now and then.
        model, session = golden.tracker(), golden.session(memory_dtype=torch.float32)
        if compiled:
            model.compile(**options)
            assert_compiled(model.vision_encoder, model.memory_attention, model.memory_encoder, model.mask_decoder)
        for number, objects in ((0, [1, 2]), (2, [3])):
            points = [[[[20.0 + 10 * obj_id, 30.0]] for obj_id in objects]]
            golden.processor().add_inputs_to_inference_session(session, number, objects, input_points=points)
        seen.append([each.pred_masks for each in model.track(session, start_frame_idx=0)])
    assert any((masks > 0).any() for masks in seen[0])
    for one, other in zip(*seen, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-3)
    return len(seen[0])


def phrases_compiled(**options: Any) -> int:
    """Everything that phrases name."""
    from sam3_hf import Sam3VideoModel, Sam3VideoProcessor, embedded
    from sam3_hf.datasets.shapes.clips import ShapesClips

    clip = ShapesClips(1020, 40, 5)[8]
    processor = Sam3VideoProcessor.from_pretrained(embedded("shapes"))
    seen = []
    for compiled in (False, True):
        model = Sam3VideoModel.from_pretrained(embedded("shapes"))
        if compiled:
            model.compile(**options)
            tracker = model.tracker_model
            assert_compiled(model.detector_model.vision_encoder, model.detector_model, tracker.memory_attention)
        session = processor.init_video_session(list(clip.frames))
        processor.add_text_prompt(session, [prompt.text for prompt in clip.prompts])
        results = model.propagate_in_video_iterator(session)
        seen.append([processor.postprocess_outputs(session, result) for result in results])
    assert any(len(result["object_ids"]) for result in seen[0])
    for one, other in zip(*seen, strict=True):
        assert one["object_ids"].tolist() == other["object_ids"].tolist()
        assert ((one["masks"] != other["masks"]).float().mean((1, 2)) < 1e-3).all()
    return len(seen[0])
