"""Vision encoder: an image becomes feature maps."""
