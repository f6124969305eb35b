"""Video: what becomes of detections and tracks, frame after frame."""
