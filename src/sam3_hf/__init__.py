"""SAM 3 (Segment Anything with Concepts) as a Hugging Face Transformers-style package."""

__version__ = "0.1.0"
