import torch

from sam3_hf.layers.drop_path import DropPath


def test_a_branch_is_left_out_per_sample_and_made_up_for() -> None:
    branch = torch.ones(2000, 3, 2)
    dropped = DropPath(0.25).train()(branch)
    per_sample = dropped.flatten(1)
    assert (per_sample == per_sample[:, :1]).all()
    assert sorted(set(per_sample[:, 0].tolist())) == [0.0, torch.tensor(1 / 0.75).item()]
    assert abs(dropped.mean() - 1) < 0.05


def test_outside_of_training_and_at_rate_zero_nothing_happens() -> None:
    branch = torch.randn(4, 3)
    assert DropPath(0.9).eval()(branch) is branch
    assert DropPath(0.0).train()(branch) is branch
