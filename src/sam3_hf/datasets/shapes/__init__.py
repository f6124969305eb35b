"""Pictures and clips of coloured shapes, with phrases for them: made from a seed, every label exact."""
