"""What is to be measured, and how."""

from dataclasses import dataclass

KINDS_OF_GROWTH = ("prompts", "images", "size", "objects", "megapixels", "calls")
OTHERS = ("transformers", "plain")


@dataclass(frozen=True)
class Settings:
    """How models are built and calls are measured.

    Args:
        model: Folder or Hub id of a model; random weights of the released size if not given.
        tiny: Random weights of a tiny size instead.
        dtype: Floating-point type of the weights.
        device: Where the model runs.
        attention: Attention backend, `sdpa`, `eager` or another that transformers knows; each side's own default if not
            given.
        compile: Compile both sides with `torch.compile`, in this mode, such as "default"; not if `None`.
        threads: CPU threads; PyTorch's choice if not given.
        image_size: Side of the model's input in pixels; that of the model if not given.
        picture: Height and width of the image that is preprocessed, and that masks are brought to.
        objects: Objects that post-processing keeps.
        rounds: Measured calls of each side; they take turns.
        against: Who else does the same work: `transformers`, or `plain`, one call per prompt.
    """

    model: str | None = None
    tiny: bool = False
    dtype: str = "float32"
    device: str = "cpu"
    attention: str | None = None
    compile: str | None = None
    threads: int | None = None
    image_size: int | None = None
    picture: tuple[int, int] = (3000, 4000)
    objects: int = 100
    rounds: int = 5
    against: tuple[str, ...] = ()

    @property
    def warm_ups(self) -> int:
        """Calls before the measured ones: compiled parts compile in the first, and record CUDA graphs in two more."""
        return 3 if self.compile else 1
