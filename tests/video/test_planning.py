from typing import Any

import pytest
import torch
from tests.support.video_heuristics import SIZE, played, recorded, unpacked

from sam3_hf.video.results import show

CASES = list(recorded()["cases"])


def strings(table: dict[int, Any]) -> dict[str, Any]:
    return {str(key): value for key, value in table.items()}


@pytest.mark.parametrize("case", CASES)
class TestDecisionsAreThoseOfTheOriginal:
    def test_association(self, case: str) -> None:
        for ours, theirs in zip(played(case).steps, played(case).case["frames_processed"], strict=True):
            found = ours.plan.found
            if theirs["det_track_iou"]:
                assert torch.allclose(
                    torch.tensor(ours.evidence.ious), torch.tensor(theirs["det_track_iou"]), atol=1e-6
                )
            assert ours.evidence.track_ids == theirs["tracked_obj_ids"]
            assert list(ours.plan.born.values()) == theirs["new_det_indices"]
            assert strings(found.matches) == theirs["det_to_matched_obj_ids"]
            assert found.unmatched == theirs["unmatched_obj_ids"]
            assert found.empty == theirs["empty_obj_ids"]
            assert strings(found.sure_pairs) == theirs["high_conf_high_iou_obj_to_det"]

    def test_birth_and_removal(self, case: str) -> None:
        for ours, theirs in zip(played(case).steps, played(case).case["frames_processed"], strict=True):
            assert list(ours.plan.born) == theirs["new_obj_ids"]
            assert sorted(ours.plan.removed) == sorted(theirs["removed_by_hotstart"])
            assert ours.plan.ids == theirs["obj_ids_after"]
            expected = dict(theirs["state"])
            assert ours.register == expected

    def test_occlusion_and_memory(self, case: str) -> None:
        for ours, theirs in zip(played(case).steps, played(case).case["frames_processed"], strict=True):
            assert ours.plan.erased == theirs.get("suppressed_by_recent_occlusion", [])
            assert ours.hidden_in_memory == theirs.get("memory_masks_suppressed_by_shrinkage", [])
            expected = theirs.get("memory_object_score_logits", [])
            assert [10.0 if filled else -10.0 for filled in ours.memory_filled] == expected

    def test_reconditioning_and_confirmation(self, case: str) -> None:
        for ours, theirs in zip(played(case).steps, played(case).case["frames_processed"], strict=True):
            chosen = ours.plan.reconditioning
            assert list(chosen.detections) == theirs.get("recondition_executed_for", [])
            assert ours.plan.unconfirmed == theirs["unconfirmed_obj_ids"]

    def test_scores(self, case: str) -> None:
        for ours, theirs in zip(played(case).steps, played(case).case["frames_processed"], strict=True):
            scores = strings(ours.output.obj_id_to_score)
            assert scores == pytest.approx(theirs["obj_id_to_score"], abs=1e-6)
            assert strings(ours.output.obj_id_to_tracker_score) == pytest.approx(
                theirs["obj_id_to_tracker_score"], abs=1e-6
            )

    def test_results(self, case: str) -> None:
        results = played(case).case["results"]
        assert [result.frame_idx for result in played(case).shown] == [result["frame"] for result in results]
        for number, (ours, theirs) in enumerate(zip(played(case).shown, results, strict=True)):
            shown = show(ours, SIZE)
            assert shown.ids == theirs["obj_ids"]
            assert shown.scores == pytest.approx(theirs["probs"], abs=1e-6)
            corners = shown.boxes_xyxy_px.float()
            sizes = torch.cat([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1) / torch.tensor([56, 40, 56, 40])
            assert torch.allclose(sizes, torch.tensor(theirs["boxes_xywh"]).view(-1, 4), atol=1e-6)
            masks = unpacked(f"{case}.result{number}.masks_packed", (len(shown.ids), *SIZE))
            assert shown.masks.equal(masks)
