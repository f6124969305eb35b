import pytest

from sam3_hf.benchmarking.growth import growth_table
from sam3_hf.benchmarking.models import build
from sam3_hf.benchmarking.settings import KINDS_OF_GROWTH, Settings

SETTINGS = Settings(tiny=True, picture=(60, 80), rounds=0)


@pytest.fixture(scope="module")
def subject():
    return build(SETTINGS)


@pytest.mark.parametrize("kind", KINDS_OF_GROWTH)
def test_every_kind_has_a_row_per_point_and_step(subject, kind):
    points = {"size": (168, 84)}.get(kind, (2, 1))
    table = growth_table(kind, subject, SETTINGS, points)
    assert [entry["point"] for entry in table.details] == sorted(entry["point"] for entry in table.details)
    assert {entry["point"] for entry in table.details} == set(points)
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_other_kinds_are_refused(subject):
    with pytest.raises(ValueError, match="megapixels, calls; got 'age'"):
        growth_table("age", subject, SETTINGS)
