"""The arithmetic under every representation: frames, windows, Fourier transforms, filtered power, decibels.

Numbers are librosa's, computed faster. Frames are a strided view of the samples, taken 64 at a time so that they stay in the cache; a
filter bank (see `filters`) is applied block by block.

Single precision is enough for most cells of a picture. Where it is not (a cell far below the power of its own frame, lost in the
rounding of the transform), the frame is computed again in double precision, so that every cell agrees with librosa to 2e-3 dB
(`filtered_power` says how the frames are found).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import fft

from ..core.values import Value, choose
from .filters import FilterBank

AMIN = 1e-10  # power below this counts as this, as in librosa.power_to_db
BLOCK = 64  # frames at a time
PAD_MODES = ("constant", "reflect", "edge")


# ---------------------------------------------------------------------- frames


@functools.lru_cache(maxsize=32)
def window_of(name: str, win_length: int, n_fft: int, dtype: str) -> np.ndarray:
    """A periodic window of `win_length` samples in the middle of `n_fft`, as librosa places it. Read-only, cached."""
    if name == "hann" and win_length > 1:
        core = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(win_length) / win_length)
    else:
        from scipy.signal import get_window

        core = get_window(name, win_length, fftbins=True)
    left = (n_fft - win_length) // 2
    window = np.pad(core, (left, n_fft - win_length - left)).astype(dtype)
    window.setflags(write=False)
    return window


def framing(spec: Value) -> dict[str, Any]:
    """How a representation cuts frames, as the functions below take it; those without a choice centre them and pad zeros."""
    names = ("n_fft", "hop_length", "win_length", "window", "center", "pad_mode")
    given = {name: getattr(spec, name) for name in names if hasattr(spec, name)}
    return {"center": True, "pad_mode": "constant", **given, "win_length": spec.win_length or spec.n_fft}


def n_frames(n_samples: int, n_fft: int, hop_length: int, center: bool) -> int:
    """Number of frames of a clip of `n_samples`."""
    return 1 + (n_samples + 2 * (n_fft // 2) * center - n_fft) // hop_length


def _frames(y: np.ndarray, n_fft: int, hop_length: int) -> np.ndarray:
    """Frames from the first sample on, a view `(frames, n_fft)`."""
    step = y.strides[0]
    shape = 1 + (len(y) - n_fft) // hop_length, n_fft
    return np.lib.stride_tricks.as_strided(y, shape, (hop_length * step, step), writeable=False)


def _padded(y: np.ndarray, left: int, right: int, mode: str) -> np.ndarray:
    """`np.pad`; zeros in a fifth of its time."""
    if mode != "constant":
        return np.pad(y, (left, right), mode=mode)
    padded = np.zeros(left + len(y) + right, y.dtype)
    padded[left : left + len(y)] = y
    return padded


def frame_views(y: np.ndarray, n_fft: int, hop_length: int, center: bool, pad_mode: str) -> list[np.ndarray]:
    """Frames of `y` as views `(frames, n_fft)`, in order. Only the few frames that touch the padding are copied."""
    if not center:
        return [_frames(y, n_fft, hop_length)]
    pad = n_fft // 2
    total = n_frames(len(y), n_fft, hop_length, center)
    head = math.ceil(pad / hop_length)  # frames that begin in the left padding
    inside = max(0, (len(y) + pad - n_fft) // hop_length + 1 - head)  # frames that lie wholly in y
    if inside <= 0:
        return [_frames(_padded(y, pad, pad, pad_mode), n_fft, hop_length)]
    left = _padded(y[: head * hop_length + n_fft], pad, 0, pad_mode)
    first = head * hop_length - pad  # sample where the first whole frame begins
    after = first + inside * hop_length  # and where the first frame behind them would
    views = [_frames(left, n_fft, hop_length)[:head], _frames(y[first:], n_fft, hop_length)[:inside]]
    behind = total - head - inside
    if behind:
        tail = max(0, min(after, len(y) - 1 - pad))  # reflection looks back `pad` samples from the end
        right = _padded(y[tail:], 0, pad, pad_mode)[after - tail :]
        views.append(_frames(right, n_fft, hop_length)[:behind])
    return views


def _pick(views: list[np.ndarray], index: np.ndarray) -> np.ndarray:
    """Frames number `index` of all views, float64 `(len(index), n_fft)`."""
    bounds = np.cumsum([0] + [len(v) for v in views])
    parts = [v[index[(index >= low) & (index < high)] - low] for v, low, high in zip(views, bounds, bounds[1:])]
    return np.concatenate(parts).astype(np.float64)


# ---------------------------------------------------------------------- transforms


def fft_blocks(views: list[np.ndarray], window: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (first frame, transform `(frames, 1 + n_fft // 2)`, complex in the window's precision) block by block."""
    windowed = np.empty((BLOCK, len(window)), window.dtype)
    at = 0
    for frames in views:
        for i in range(0, len(frames), BLOCK):
            block = frames[i : i + BLOCK]
            np.multiply(block, window, out=windowed[: len(block)])
            yield at, fft.rfft(windowed[: len(block)], axis=-1)
            at += len(block)


def power_blocks(views: list[np.ndarray], window: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (first frame, power `(frames, 1 + n_fft // 2)`) block by block; the block's memory is used again."""
    power = np.empty((BLOCK, len(window) // 2 + 1), window.dtype)
    for at, block in fft_blocks(views, window):
        parts = block.view(window.dtype)  # real and imaginary in turn
        np.multiply(parts, parts, out=parts)
        yield at, np.add(parts[:, ::2], parts[:, 1::2], out=power[: len(block)])


def stft(
    y: np.ndarray, *, n_fft: int, hop_length: int, win_length: int, window: str, center: bool, pad_mode: str
) -> np.ndarray:
    """Short-time Fourier transform in double precision, complex128 `(1 + n_fft // 2, frames)`."""
    views = frame_views(y.astype(np.float64), n_fft, hop_length, center, pad_mode)
    found = np.empty((n_fft // 2 + 1, sum(map(len, views))), np.complex128)
    for at, block in fft_blocks(views, window_of(window, win_length, n_fft, "float64")):
        found[:, at : at + len(block)] = block.T
    return found


def stft_power(
    y: np.ndarray, *, n_fft: int, hop_length: int, win_length: int, window: str, center: bool, pad_mode: str
) -> np.ndarray:
    """|STFT|^2 in double precision, float64 `(1 + n_fft // 2, frames)`."""
    views = frame_views(y.astype(np.float64), n_fft, hop_length, center, pad_mode)
    power = np.empty((n_fft // 2 + 1, sum(map(len, views))))
    for at, block in power_blocks(views, window_of(window, win_length, n_fft, "float64")):
        power[:, at : at + len(block)] = block.T
    return power


def filtered_power(
    y: np.ndarray,
    bank: FilterBank,
    *,
    n_fft: int,
    hop_length: int,
    win_length: int,
    window: str,
    center: bool,
    pad_mode: str,
    power: float,
    top_db: float | None,
) -> np.ndarray:
    """|STFT|^power under a filter bank, `(filters, frames)`: float32, or float64 where `top_db` asks for more than float32 holds.

    In single precision a cell is trusted while it lies above `bank.unsafe_ratio` times the power of its frame, or below the
    floor that `top_db` will raise it to; frames with any other cell are computed again in double precision.
    """
    smooth = fft.next_fast_len(n_fft, real=True) == n_fft  # no prime factor above 5
    single = power == 2.0 and top_db is not None and top_db <= 80.0 and smooth
    views = frame_views(y, n_fft, hop_length, center, pad_mode)
    found, energy = _filtered(
        views, bank, window_of(window, win_length, n_fft, "float32" if single else "float64"), power
    )
    if single:
        floor = found.max() * np.float32(0.9 * 10 ** (-top_db / 10))
        unsafe = found < np.multiply.outer(energy, bank.unsafe_ratio)
        again = np.flatnonzero((unsafe & (found > floor)).any(axis=1)) if unsafe.any() else ()
        if len(again):
            frames = _pick(views, again)
            found[again] = _filtered([frames], bank, window_of(window, win_length, n_fft, "float64"), power)[0]
    return found.T


def _filtered(views, bank: FilterBank, window: np.ndarray, power: float) -> tuple[np.ndarray, np.ndarray]:
    """(filtered `(frames, filters)`, mean power of each frame's bins `(frames,)`) in the window's precision."""
    total = sum(map(len, views))
    found, energy = np.empty((total, bank.n_filters), window.dtype), np.empty(total, window.dtype)
    n_bins = len(window) // 2 + 1
    share = np.full(n_bins, 1 / n_bins, window.dtype)  # a product with this is a mean, four times as fast
    for at, block in power_blocks(views, window):
        np.matmul(block, share, out=energy[at : at + len(block)])
        if power != 2.0:
            np.power(block, power / 2, out=block)
        bank.apply(block, found[at : at + len(block)])
    return found, energy


# ---------------------------------------------------------------------- decibels and other scales

SCALES = ("db", "power", "linear", "root")  # decibels, power, amplitude, square root of the amplitude
UNITS = {"db": "dB", "power": "power", "linear": "amplitude", "root": "√amplitude"}


TOO_LOUD = "the samples are so large that their power overflows; bring them down with Audio(normalize='peak')"


def reference_power(power: np.ndarray, ref: float | str) -> float | None:
    """The power that is 0 dB, or 1; None with ref="max" where a clip is silent throughout, nowhere above 1e-10.

    ValueError if the power has overflowed.
    """
    peak = float(power.max())
    if not math.isfinite(peak):
        raise ValueError(TOO_LOUD)
    if ref != "max":
        return float(ref)
    return peak if peak > AMIN else None


def power_to_db(power: np.ndarray, ref: float | str, top_db: float | None) -> np.ndarray:
    """Power -> dB, as `librosa.power_to_db`; float32, may reuse the memory of `power`.

    With ref="max" a clip that is silent throughout lies at the bottom of the range, at `-top_db`; in librosa all of it is 0 dB, the top.
    """
    zero = reference_power(power, ref)
    if zero is None:
        return np.full(power.shape, -(top_db or 0.0), np.float32)
    np.maximum(power, AMIN, out=power)
    np.log10(power, out=power)
    power *= 10.0
    power -= 10.0 * math.log10(max(AMIN, zero))
    if top_db is not None:
        np.maximum(power, power.max() - power.dtype.type(top_db), out=power)
    return power.astype(np.float32, copy=False)


def to_float32(x: np.ndarray) -> np.ndarray:
    """`x` in single precision; ValueError if that does not hold it."""
    with np.errstate(over="ignore"):
        x = x.astype(np.float32, copy=False)
    if not np.isfinite(x).all():
        raise ValueError(TOO_LOUD)
    return x


def to_share(power: np.ndarray, ref: float | str) -> np.ndarray:
    """Power in units of `ref`, in its own precision; all 0 if that is a silent clip's loudest cell."""
    one = reference_power(power, ref)
    return np.zeros_like(power) if one is None else power / power.dtype.type(one)


def to_scale(power: np.ndarray, scale: str, ref: float | str, top_db: float | None) -> np.ndarray:
    """Power -> one of SCALES, float32; may reuse the memory of `power`."""
    if scale == "db":
        return power_to_db(power, ref, top_db)
    share = to_share(power, ref)
    return to_float32(share if scale == "power" else np.sqrt(share) if scale == "linear" else np.sqrt(np.sqrt(share)))


def scale_range(scale: str, top_db: float | None) -> tuple[float, float] | None:
    """Values drawn black and white on a scale: `-top_db` to 0 in decibels, else 0 to 1; None if `top_db` is None."""
    if scale == "db":
        return None if top_db is None else (-top_db, 0.0)
    return 0.0, 1.0


# ---------------------------------------------------------------------- checks of fields


def check_window(spec: Value) -> None:
    """Does scipy know the window?"""
    try:
        window_of(spec.window, 8, 8, "float64")
    except ValueError as exc:
        raise ValueError(
            f"{type(spec).__name__}(window={spec.window!r}): give a name that scipy.signal.get_window takes, such as hann, "
            "hamming or blackman"
        ) from exc


def check_frames(spec: Value) -> None:
    """ValueError unless n_fft, hop_length, win_length and window of a value fit together."""
    for field in ("n_fft", "hop_length"):
        spec._need(getattr(spec, field) >= 1, "give a whole number of samples, 1 or more", field)
    if spec.win_length is not None:
        spec._need(1 <= spec.win_length <= spec.n_fft, f"give 1 to n_fft={spec.n_fft}", "win_length")
    check_window(spec)


def check_decibels(spec: Value) -> None:
    """ValueError unless `ref` and `top_db` are positive, or "max" and None."""
    spec._need(spec.top_db is None or spec.top_db > 0, "give decibels above 0, or None for no floor", "top_db")
    if isinstance(spec.ref, str):
        choose(spec.ref, ["max"], "ref (or give a power above 0)")
    else:
        spec._need(spec.ref > 0, "give a power above 0, or 'max'", "ref")
