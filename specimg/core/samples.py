"""Samples as people have them become floats in [-1, 1]: whole numbers are scaled by what their kind holds.

>>> as_floats(np.array([-32768, 16384], np.int16))
array([-1. ,  0.5], dtype=float32)
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike

F = TypeVar("F", bound=Callable)


def as_floats(samples: ArrayLike) -> np.ndarray:
    """Samples in [-1, 1].

    Parameters
    ----------
    samples : array_like
        Floats, which stay as they are; or whole numbers of 8, 16 or 32 bits, which are divided by half of what these hold, unsigned ones
        after half of it is taken off, as wav files have them. Whole numbers of 64 bits are taken if they are -1, 0 and 1.

    Returns
    -------
    np.ndarray
        Of the same shape.

    Raises
    ------
    ValueError
        If they are no numbers, or whole numbers of which nobody knows what full scale is.

    Examples
    --------
    >>> from specimg.core.samples import as_floats
    >>> as_floats(np.array([0, 128, 192], np.uint8))
    array([-1. ,  0. ,  0.5], dtype=float32)
    """
    y = np.asarray(samples)
    if y.dtype.kind == "f":
        return y
    if y.dtype.kind not in "biu":
        raise ValueError(f"samples of the kind {y.dtype}; give floats in [-1, 1], or int16, int32 or uint8")
    if y.dtype.kind == "b" or (y.dtype.itemsize == 8 and (not y.size or np.abs(y).max() <= 1)):
        return y.astype(np.float32)
    if y.dtype.itemsize == 8:
        raise ValueError(
            f"samples of the kind {y.dtype} up to {np.abs(y).max()}: nobody knows what full scale is; give floats in [-1, 1], or "
            f"their own kind: y.astype('int16')"
        )
    half = 2.0 ** (8 * y.dtype.itemsize - 1)
    return ((y - half if y.dtype.kind == "u" else y.astype(np.float64)) / half).astype(np.float32)


def takes_samples(function: F, position: int = 0) -> F:
    """`function`, given floats where whole numbers stand at a position among its arguments; they may be its keyword `y` too."""

    @functools.wraps(function)
    def scaled(*args, **kwargs):
        if len(args) > position:
            args = (*args[:position], as_floats(args[position]), *args[position + 1 :])
        elif "y" in kwargs:
            kwargs["y"] = as_floats(kwargs["y"])
        return function(*args, **kwargs)

    return cast(F, scaled)
