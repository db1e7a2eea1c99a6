"""Clips become batches."""

from __future__ import annotations

import pytest

from specimg.data.batches import batch_size


@pytest.mark.parametrize(
    ("n", "expected"), [(5, 5), (16, 16), (400, 16), (799, 16), (800, 32), (1599, 32), (1600, 64), (50_000, 64)]
)
def test_an_epoch_has_25_steps_where_it_can(n, expected):
    assert batch_size(None, n) == expected


def test_a_given_size_stands():
    assert batch_size(64, 400) == 64
    with pytest.warns(UserWarning, match="only 19 clips to train on, fewer than bs=64; bs=19 is used"):
        assert batch_size(64, 19) == 19
    with pytest.raises(ValueError, match="1 clip is left for training"):
        batch_size(None, 1)
