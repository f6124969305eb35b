import json
from pathlib import Path

from sam3_hf.evaluation.veval import read_pairs
from sam3_hf.evaluation.videos import evaluate_videos
from sam3_hf.results import CodedInstance
from sam3_hf.video_io.json_lines import FrameResult, TrackedObject
from sam3_hf.video_io.veval import masklet_predictions, write_predictions

TOY = Path(__file__).parents[1] / "data" / "veval_toy"


def as_frames(masklets, texts):
    """Prediction entries of one video, frame by frame."""
    results = []
    for number in range(len(masklets[0]["segmentations"])):
        objects = []
        for place, masklet in enumerate(masklets):
            x, y, width, height = masklet["bboxes"][number]
            if masklet["areas"][number]:
                seen = CodedInstance(masklet["score"], (x, y, x + width, y + height), masklet["segmentations"][number])
                objects.append(TrackedObject(place, texts[masklet["category_id"]], seen))
        results.append(FrameResult(number, number / 6, objects))
    return results


def test_frames_become_the_prediction_file_that_they_came_from(tmp_path):
    expected = json.loads((TOY / "pred.json").read_text())
    sizes = {
        video["id"]: (video["height"], video["width"]) for video in json.loads((TOY / "gt.json").read_text())["videos"]
    }
    texts = {each["category_id"]: f"phrase {each['category_id']}" for each in expected}
    ids = {text: number for number, text in texts.items()}
    found = []
    for video_id, size in sizes.items():
        masklets = [each for each in expected if each["video_id"] == video_id]
        found += masklet_predictions(as_frames(masklets, texts), size, video_id, ids)
    write_predictions(found, tmp_path / "pred.json")

    def order(each):
        return each["video_id"], each["category_id"], each["score"], json.dumps(each["areas"])

    shown = [each for each in expected if any(each["areas"])]
    written = json.loads((tmp_path / "pred.json").read_text())
    assert sorted(written, key=order) == sorted(shown, key=order)
    scores = [
        evaluate_videos(read_pairs(path, TOY / "gt.json")) for path in (TOY / "pred.json", tmp_path / "pred.json")
    ]
    assert str(scores[0]) == str(scores[1])


def test_objects_of_other_phrases_are_left_out():
    masklets = [each for each in json.loads((TOY / "pred.json").read_text()) if each["video_id"] == 0]
    texts = {each["category_id"]: str(each["category_id"]) for each in masklets}
    kept = masklets[0]["category_id"]
    found = masklet_predictions(as_frames(masklets, texts), (12, 20), 7, {str(kept): 40})
    assert found
    assert {(each["video_id"], each["category_id"]) for each in found} == {(7, 40)}
    assert len(found) == sum(each["category_id"] == kept for each in masklets)
