"""Sizes, and students that are wider than a size says."""

from __future__ import annotations

import pytest

from sensorkd.errors import ConfigError
from sensorkd.models.size import NARROWEST, SIZES, WIDEST, ModelSize


@pytest.mark.parametrize("size", SIZES.values(), ids=str)
def test_a_width_of_one_changes_nothing(size: ModelSize) -> None:
    assert size.widened(1.0) is size
    odd = ModelSize("odd", (7, 9), (5, 6), embedding=11)
    assert odd.widened(1) == odd


@pytest.mark.parametrize("width", [NARROWEST, 0.5, 1.42, 2.0, 3.3, WIDEST])
def test_all_widths_grow_alike_in_multiples_of_four(width: float) -> None:
    size, wide = SIZES["tiny"], SIZES["tiny"].widened(width)
    before = (*size.signal_widths, *size.video_widths, size.embedding)
    after = (*wide.signal_widths, *wide.video_widths, wide.embedding)
    assert all(channels % 4 == 0 and channels >= 4 for channels in after)
    assert all(abs(new - old * width) <= 2 for old, new in zip(before, after, strict=True))
    assert (wide.stages, wide.time_bins, wide.dropout) == (size.stages, size.time_bins, size.dropout)


@pytest.mark.parametrize("width", [0.0, -1.0, 0.2, 8.1, float("nan"), float("inf")])
def test_a_width_that_makes_no_student_is_refused(width: float) -> None:
    with pytest.raises(ConfigError, match=r"(?s)cannot be that wide.*0\.25 to 8"):
        SIZES["tiny"].widened(width)
