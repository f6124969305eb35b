"""Schedule: learning rates rise, fall with the square root of time, and end at zero.

step -> factor of every group's rate
"""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def inverse_sqrt_factor(step: int, steps: int, warmup: int = 20, timescale: int = 20, cooldown: int = 20) -> float:
    """Factor at `step` of `steps`; 0 at the first step and after the last one.

    Args:
        step: Optimizer steps done.
        steps: Optimizer steps of the whole run.
        warmup: Steps of a linear rise.
        timescale: How fast the rate falls after it: to 1 / sqrt(2) after so many steps.
        cooldown: Steps of a linear fall to zero at the end.
    """
    rise = min(1.0, step / warmup) if warmup else 1.0
    fall = min(1.0, (steps - step) / cooldown) if cooldown else 1.0
    late = max(step - warmup, 0)
    return rise * max(fall, 0.0) / math.sqrt((late + timescale) / timescale)


def inverse_sqrt_schedule(
    optimizer: Optimizer, steps: int, warmup: int = 20, timescale: int = 20, cooldown: int = 20
) -> LambdaLR:
    """Scheduler for a PyTorch optimizer; arguments as `inverse_sqrt_factor`.

    Raises:
        ValueError: A length that is negative, or a timescale that is not positive.
    """
    if min(warmup, cooldown) < 0 or timescale <= 0:
        raise ValueError(
            f"warmup and cooldown are 0 or more and timescale is positive; got {warmup}, {cooldown} and {timescale}."
        )
    return LambdaLR(optimizer, lambda step: inverse_sqrt_factor(step, steps, warmup, timescale, cooldown))
