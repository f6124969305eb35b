import math

import pytest
import torch

from sam3_hf.training.schedule import inverse_sqrt_factor, inverse_sqrt_schedule


def test_it_rises_falls_with_the_square_root_and_ends_at_zero() -> None:
    factor = [inverse_sqrt_factor(step, 200) for step in range(201)]
    assert factor[0] == factor[200] == 0
    assert factor[10] == 0.5
    assert factor[20] == 1
    assert factor[100] == pytest.approx(1 / math.sqrt(5))
    assert factor[190] == pytest.approx(0.5 / math.sqrt(9.5))


def test_timescale_is_counted_from_the_end_of_the_warm_up() -> None:
    assert inverse_sqrt_factor(40, 10**6, warmup=10, timescale=30) == pytest.approx(1 / math.sqrt(2))


def test_rise_and_fall_can_be_left_out() -> None:
    assert inverse_sqrt_factor(0, 100, warmup=0, cooldown=0) == 1
    assert inverse_sqrt_factor(100, 100, warmup=0, timescale=100, cooldown=0) == pytest.approx(1 / math.sqrt(2))


def test_every_group_keeps_its_share() -> None:
    parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = torch.optim.SGD([{"params": p, "lr": rate} for p, rate in zip(parameters, (1.0, 0.1), strict=True)])
    schedule = inverse_sqrt_schedule(optimizer, 100, warmup=10)
    for _ in range(5):
        optimizer.step()
        schedule.step()
    assert schedule.get_last_lr() == pytest.approx([0.5, 0.05])


def test_impossible_lengths_are_refused() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)])
    with pytest.raises(ValueError, match="timescale is positive; got 20, 20 and 0"):
        inverse_sqrt_schedule(optimizer, 100, timescale=0)
