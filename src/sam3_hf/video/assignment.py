"""One-to-one assignment: every row gets a column of its own, so that the sum is as large as can be.

values [N, M] -> pairs (row, column), min(N, M) of them
"""

import numpy as np
from jaxtyping import Float


def best_pairs(values: Float[np.ndarray, "N M"]) -> list[tuple[int, int]]:
    """The assignment of the largest total value, found row by row with shortest augmenting paths."""
    if values.shape[0] > values.shape[1]:
        return sorted((row, column) for column, row in best_pairs(values.T))
    rows, columns = values.shape
    cost = -values.astype(np.float64)
    row_price, column_price = np.zeros(rows), np.zeros(columns)
    row_of = np.full(columns, -1)
    for row in range(rows):
        _place(row, cost, row_price, column_price, row_of)
    return sorted((int(row), column) for column, row in enumerate(row_of) if row >= 0)


def _place(row: int, cost: np.ndarray, row_price: np.ndarray, column_price: np.ndarray, row_of: np.ndarray) -> None:
    """Give `row` a column; rows that have one move where that makes the total better."""
    distance, before = np.full(len(row_of), np.inf), np.full(len(row_of), -1)
    done = np.zeros(len(row_of), bool)
    reached, column = 0.0, -1
    here = row
    while here >= 0:
        through = reached + cost[here] - row_price[here] - column_price
        shorter = ~done & (through < distance)
        distance[shorter], before[shorter] = through[shorter], column
        column = int(np.where(done, np.inf, distance).argmin())
        reached, done[column], here = distance[column], True, row_of[column]
    row_price[row] += reached
    settled = done & (row_of >= 0)
    row_price[row_of[settled]] += reached - distance[settled]
    column_price[done] -= reached - distance[done]
    while column >= 0:
        row_of[column] = row_of[before[column]] if before[column] >= 0 else row
        column = before[column]
