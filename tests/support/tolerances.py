"""How far float32 results on a CPU may lie from a reference, in one place."""

# Suggested by the notes of the recorded data.
ORIGINAL = {
    "pred_logits": 6e-5,
    "pred_boxes": 8e-6,
    "pred_masks": 4e-4,
    "presence_logits": 1.2e-5,
    "semantic_seg": 1.5e-5,
}
INTERMEDIATE = 2e-5

# Suggested by the notes of the recorded interactive predictor.
TRACKER_ORIGINAL = {"pred_masks": 2e-4, "iou_scores": 2e-6, "object_score_logits": 1e-5}
TRACKER_FEATURES = 1e-4
TRACKER_PIXELS = 0.001

# Suggested by the notes of the recorded SAM 3.1 detector.
MULTIPLEX = {"pred_logits": 1e-4, "pred_boxes": 1e-5, "pred_masks": 4e-4, "presence_logits": 1e-5, "semantic_seg": 3e-5}

# A part against its counterpart in transformers, relative to the size of the values.
PART = {"rtol": 1e-4, "atol": 2e-5}

# The same model run another way: another backend, batch instead of one by one, reused features.
SAME_MODEL = {"rtol": 1e-4, "atol": 5e-5}
SAME_MASKS = {"rtol": 1e-4, "atol": 3e-4}

# Suggested by the notes of the recorded video tracker: frames after the first, with memories in bfloat16 or float32.
VIDEO_ORIGINAL = {"pred_masks": 6e-2, "pixels": 0.003, "scores": 1e-2}
VIDEO_FLOAT32_MEMORY = 1e-3
