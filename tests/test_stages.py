"""Stages are measured in the order they run, also when they fail."""

from __future__ import annotations

import sys

import pytest

from crmsync.stages import StageClock


def test_stages_are_kept_in_order() -> None:
    clock = StageClock()
    for name in ("extract", "assess"):
        with clock.stage(name):
            pass
    assert [figures.stage for figures in clock.figures] == ["extract", "assess"]
    assert all(figures.seconds >= 0 and figures.peak_mb > 1 for figures in clock.figures)


def test_a_stage_that_fails_is_measured_too() -> None:
    clock = StageClock()
    with pytest.raises(ValueError, match="broken"), clock.stage("draft"):
        raise ValueError("broken")
    assert [figures.stage for figures in clock.figures] == ["draft"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forgets a high-water mark")
def test_the_peak_is_that_of_the_stage_alone() -> None:
    clock = StageClock()
    with clock.stage("big"):
        block = bytearray(80_000_000)
        del block
    with clock.stage("small"):
        pass
    big, small = clock.figures
    assert big.peak_mb > small.peak_mb + 50
