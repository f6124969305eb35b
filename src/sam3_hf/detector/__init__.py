"""Detector: feature maps and a prompt become boxes, scores and masks."""
