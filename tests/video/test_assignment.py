import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from sam3_hf.video.assignment import best_pairs


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (5, 3), (7, 7), (0, 4), (4, 0)])
def test_no_other_assignment_has_a_larger_sum(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(0).random(shape).astype(np.float32)
    pairs = best_pairs(values)
    expected = values[linear_sum_assignment(values, maximize=True)].sum()
    assert sum(values[pair] for pair in pairs) == pytest.approx(expected)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == min(shape)
