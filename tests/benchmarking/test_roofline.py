import torch

from sam3_hf.benchmarking.roofline import Rate, Roofline
from sam3_hf.benchmarking.work import Convolution, Product, Reading

OPERATIONS = [
    Product(8, 4, 2, times=3),
    Product(80, 4, 2),
    Reading(1, 2, 5, 7, 4),
    Convolution(1, 3, 6),
    Product(0, 4, 4),
]


def test_the_floor_is_the_sum_of_all_operations_and_each_shape_is_measured_once(monkeypatch):
    monkeypatch.setattr(Roofline, "_median", lambda *_: 2.0)
    roofline = Roofline(torch.device("cpu"), torch.float32)
    assert roofline.floor([*OPERATIONS, Product(8, 4, 2)]) == 2 * (3 + 1 + 1 + 1 + 1)
    assert len(roofline.rates) == 5
    assert [rate.operation for rate in roofline.largest()] == OPERATIONS[1:4]
    assert Rate(Product(8, 4, 2), 2.0).flops_per_second == 64


def test_every_operation_can_be_measured():
    roofline = Roofline(torch.device("cpu"), torch.bfloat16)
    assert roofline.floor(OPERATIONS) > 0
