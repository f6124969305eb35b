"""Training loss: what the detector said, against what is there."""
