"""How good answers are: the metrics of SA-Co, COCO and DAVIS, for files and for models."""
