"""Ids: 15 characters, or 18 with check characters that every real id confirms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmsync.sandbox.ids import id_number, make_id, to_18


@pytest.mark.parametrize("real", ["001Da00000xnAk6IAE", "01254000001upcKAAQ", "012000000000000AAA"])
def test_real_ids_have_the_same_check_characters(real: str) -> None:
    assert to_18(real[:15]) == real
    assert to_18(real) == real


@pytest.mark.parametrize(
    "wrong", ["", "001Da00000xnAk6", "001Da00000xnAk6IAF", "001Da00000xnAk6iae", "001Da00000xnAk", "x" * 19]
)
def test_a_wrong_check_or_length_is_no_id(wrong: str) -> None:
    assert to_18(wrong) is None or len(wrong) == 15


@given(st.integers(1, 10**9), st.integers(1, 10**9))
def test_later_numbers_sort_later_and_can_be_read_back(first: int, second: int) -> None:
    assert (first < second) == (make_id("001", first) < make_id("001", second))
    assert id_number(make_id("001", first)) == first
