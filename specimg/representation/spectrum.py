"""The arithmetic under every representation: frames, windows, power spectra, mel filters, decibels.

Numbers are librosa's; the way there is shorter. Frames are a strided view of the samples, taken 64 at a time so that they stay
in the cache; the filter bank is built once for a setting and applied in bands, because nearly all of it is zeros.

Single precision is enough for most cells of a picture. Where it is not - a cell far below the power of its own frame, drowned
in the rounding of the transform - the frame is done again in double precision, so that every cell agrees with librosa to
2e-3 dB (`mel_power` says how the frames are found).
"""

from __future__ import annotations

import functools
import math

import numpy as np
from scipy import fft

from ..values import choose

AMIN = 1e-10             # power below this counts as this, as in librosa.power_to_db
BLOCK = 64               # frames at a time
BANDS = 16               # mel filters that share one matrix product
PAD_MODES = ("constant", "reflect", "edge")

# Rounding of scipy's single-precision transform, rms of a bin relative to the rms of its frame's bins (1.5e-7 at most, measured
# on noise, sines and rumble for lengths with no prime factor above 5; others round twice as coarsely and are not done in single
# precision), times what 4.5 standard deviations may move a cell of one bin, against 1.5e-3 dB: a cell is safe while its mean
# power is above this share of its frame's mean power, divided by the number of bins that it averages.
UNSAFE_SHARE = (20 / math.log(10) * 4.5 * 1.5e-7 / math.sqrt(2) / 1.5e-3) ** 2


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


def n_frames(n_samples: int, n_fft: int, hop_length: int, center: bool) -> int:
    """How many frames a clip of `n_samples` has."""
    return 1 + (n_samples + 2 * (n_fft // 2) * center - n_fft) // hop_length


def frame_views(y: np.ndarray, n_fft: int, hop_length: int, center: bool, pad_mode: str) -> list[np.ndarray]:
    """Frames of `y` as views `(frames, n_fft)`, in order. Only the few frames that touch the padding are copied."""
    view = np.lib.stride_tricks.sliding_window_view
    if not center:
        return [view(y, n_fft)[::hop_length]]
    pad = n_fft // 2
    total = n_frames(len(y), n_fft, hop_length, center)
    head = math.ceil(pad / hop_length)                             # frames that begin in the left padding
    inside = max(0, (len(y) + pad - n_fft) // hop_length + 1 - head)   # frames that lie wholly in y
    if inside <= 0:
        return [view(np.pad(y, pad, mode=pad_mode), n_fft)[::hop_length]]
    left = np.pad(y[: head * hop_length + n_fft], (pad, 0), mode=pad_mode)
    first = head * hop_length - pad                                # sample where the first whole frame begins
    after = first + inside * hop_length                            # and where the first frame behind them would
    views = [view(left, n_fft)[::hop_length][:head], view(y[first:], n_fft)[::hop_length][:inside]]
    behind = total - head - inside
    if behind:
        tail = max(0, min(after, len(y) - 1 - pad))                # reflection looks back `pad` samples from the end
        right = np.pad(y[tail:], (0, pad), mode=pad_mode)[after - tail :]
        views.append(view(right, n_fft)[::hop_length][:behind])
    return views


def power_blocks(views: list[np.ndarray], window: np.ndarray):
    """Yield (first frame, power `(frames, 1 + n_fft // 2)`) block by block; the block's memory is used again."""
    n_fft, dtype = len(window), window.dtype
    windowed = np.empty((BLOCK, n_fft), dtype)
    power = np.empty((BLOCK, n_fft // 2 + 1), dtype)
    at = 0
    for frames in views:
        for i in range(0, len(frames), BLOCK):
            block = frames[i : i + BLOCK]
            n = len(block)
            np.multiply(block, window, out=windowed[:n])
            parts = fft.rfft(windowed[:n], axis=-1).view(dtype)    # real and imaginary in turn
            np.multiply(parts, parts, out=parts)
            np.add(parts[:, ::2], parts[:, 1::2], out=power[:n])
            yield at, power[:n]
            at += n


def stft_power(y: np.ndarray, *, n_fft: int, hop_length: int, win_length: int, window: str, center: bool, pad_mode: str) -> np.ndarray:
    """|STFT|^2 in double precision, float64 `(1 + n_fft // 2, frames)`."""
    views = frame_views(y.astype(np.float64), n_fft, hop_length, center, pad_mode)
    power = np.empty((n_fft // 2 + 1, sum(map(len, views))))
    for at, block in power_blocks(views, window_of(window, win_length, n_fft, "float64")):
        power[:, at : at + len(block)] = block.T
    return power


# ---------------------------------------------------------------------- mel filters

def hz_to_mel(hz, htk: bool = False):
    """Slaney's scale (linear below 1 kHz, logarithmic above) or HTK's; librosa's numbers."""
    hz = np.asarray(hz, dtype=np.float64)
    if htk:
        return 2595.0 * np.log10(1.0 + hz / 700.0)
    logarithmic = 15.0 + np.log(np.maximum(hz, 1e-300) / 1000.0) / (np.log(6.4) / 27.0)
    return np.where(hz >= 1000.0, logarithmic, 3.0 * hz / 200.0)


def mel_to_hz(mel, htk: bool = False):
    """The inverse of `hz_to_mel`."""
    mel = np.asarray(mel, dtype=np.float64)
    if htk:
        return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    return np.where(mel >= 15.0, 1000.0 * np.exp(np.log(6.4) / 27.0 * (mel - 15.0)), 200.0 * mel / 3.0)


def mel_edges(n_mels: int, fmin: float, fmax: float, htk: bool = False) -> np.ndarray:
    """Hz `(n_mels + 2,)`: lower edge, the centres, upper edge; evenly spaced in mel."""
    return mel_to_hz(np.linspace(hz_to_mel(fmin, htk), hz_to_mel(fmax, htk), n_mels + 2), htk)


def mel_filters(sr: int, n_fft: int, n_mels: int, fmin: float, fmax: float, htk: bool, norm: str | None) -> np.ndarray:
    """Triangular filters float64 `(n_mels, 1 + n_fft // 2)`; with norm="slaney" each has the same area."""
    edges = mel_edges(n_mels, fmin, fmax, htk)
    bins = np.fft.rfftfreq(n_fft, 1 / sr)
    ramps = edges[:, None] - bins
    widths = np.diff(edges)[:, None]
    filters = np.maximum(0, np.minimum(-ramps[:-2] / widths[:-1], ramps[2:] / widths[1:]))
    if norm == "slaney":
        filters *= (2.0 / (edges[2:] - edges[:-2]))[:, None]
    return filters


class MelBank:
    """A filter bank cut into bands of neighbouring filters, each with the bins that it needs."""

    def __init__(self, filters: np.ndarray):
        self.n_mels = len(filters)
        self.weight = filters.sum(axis=1)                                     # (n_mels,)
        effective_bins = self.weight**2 / np.square(filters).sum(axis=1)      # how many bins a filter averages
        self.unsafe_ratio = (UNSAFE_SHARE * self.weight / effective_bins).astype(np.float32)
        self.bands = {np.dtype(dtype): self._cut(filters.astype(dtype)) for dtype in ("float32", "float64")}

    @staticmethod
    def _cut(filters):
        bands = []
        for first in range(0, len(filters), BANDS):
            rows = filters[first : first + BANDS]
            used = np.flatnonzero(rows.any(axis=0))
            low, high = used[0], used[-1] + 1
            bands.append((slice(first, first + len(rows)), slice(low, high), np.ascontiguousarray(rows[:, low:high].T)))
        return bands

    def apply(self, power: np.ndarray, out: np.ndarray) -> None:
        """`(frames, bins)` -> `out` `(frames, n_mels)`."""
        for rows, bins, weights in self.bands[power.dtype]:
            np.matmul(power[:, bins], weights, out=out[:, rows])


@functools.lru_cache(maxsize=32)
def mel_bank(sr: int, n_fft: int, n_mels: int, fmin: float, fmax: float, htk: bool, norm: str | None) -> MelBank:
    """The cached bank of a setting; ValueError where filters are so narrow that they catch no bin."""
    filters = mel_filters(sr, n_fft, n_mels, fmin, fmax, htk, norm)
    empty = np.flatnonzero(~filters.any(axis=1))
    if len(empty):
        first = mel_edges(n_mels, fmin, fmax, htk)[1:-1][empty[0]]
        raise ValueError(
            f"{len(empty)} of {n_mels} mel filters catch no frequency bin (the first at {first:.0f} Hz): n_fft={n_fft} at {sr} Hz has a bin "
            f"every {sr / n_fft:.1f} Hz only; use fewer n_mels, a larger n_fft, or a higher fmin"
        )
    return MelBank(filters)


def mel_power(y: np.ndarray, bank: MelBank, *, n_fft: int, hop_length: int, win_length: int, window: str, center: bool, pad_mode: str,
              power: float, top_db: float | None) -> np.ndarray:
    """Mel spectrogram `(n_mels, frames)` of |STFT|^power, float32, or float64 where `top_db` asks for more than float32 holds.

    In single precision a cell is trusted while it lies above `bank.unsafe_ratio` times the power of its frame, or below the
    floor that `top_db` will raise it to; frames with any other cell are computed again in double precision.
    """
    smooth = fft.next_fast_len(n_fft, real=True) == n_fft   # no prime factor above 5
    single = power == 2.0 and top_db is not None and top_db <= 80.0 and smooth
    views = frame_views(y, n_fft, hop_length, center, pad_mode)
    mel, energy = _mel_of(views, bank, window_of(window, win_length, n_fft, "float32" if single else "float64"), power)
    if single:
        floor = mel.max() * np.float32(0.9 * 10 ** (-top_db / 10))
        unsafe = mel < np.multiply.outer(energy, bank.unsafe_ratio)
        again = np.flatnonzero((unsafe & (mel > floor)).any(axis=1)) if unsafe.any() else ()
        if len(again):
            frames = _pick(views, again)
            mel[again] = _mel_of([frames], bank, window_of(window, win_length, n_fft, "float64"), power)[0]
    return mel.T


def _mel_of(views, bank: MelBank, window: np.ndarray, power: float) -> tuple[np.ndarray, np.ndarray]:
    """(mel `(frames, n_mels)`, mean power of each frame's bins `(frames,)`) in the window's precision."""
    total = sum(map(len, views))
    mel, energy = np.empty((total, bank.n_mels), window.dtype), np.empty(total, window.dtype)
    n_bins = len(window) // 2 + 1
    share = np.full(n_bins, 1 / n_bins, window.dtype)   # a product with this is a mean, four times as fast
    for at, block in power_blocks(views, window):
        np.matmul(block, share, out=energy[at : at + len(block)])
        if power != 2.0:
            np.power(block, power / 2, out=block)
        bank.apply(block, mel[at : at + len(block)])
    return mel, energy


def _pick(views: list[np.ndarray], index: np.ndarray) -> np.ndarray:
    """Frames number `index` of all views, float64 `(len(index), n_fft)`."""
    bounds = np.cumsum([0] + [len(v) for v in views])
    parts = [v[index[(index >= low) & (index < high)] - low] for v, low, high in zip(views, bounds, bounds[1:])]
    return np.concatenate(parts).astype(np.float64)


# ---------------------------------------------------------------------- decibels

def to_db(power: np.ndarray, ref: float | str, top_db: float | None) -> np.ndarray:
    """Power -> dB, as `librosa.power_to_db`; float32, may reuse the memory of `power`.

    With ref="max" a clip that is silent throughout (nowhere above 1e-10) is drawn at the bottom of the range, at `-top_db`;
    librosa would call all of it 0 dB, the top.
    """
    peak = float(power.max())
    if not math.isfinite(peak):
        raise ValueError("the samples are so large that their power overflows; bring them down with Audio(normalize='peak')")
    if ref == "max" and peak <= AMIN:
        return np.full(power.shape, -(top_db or 0.0), np.float32)
    np.maximum(power, AMIN, out=power)
    np.log10(power, out=power)
    power *= 10.0
    power -= 10.0 * math.log10(max(AMIN, peak if ref == "max" else ref))
    if top_db is not None:
        np.maximum(power, power.max() - power.dtype.type(top_db), out=power)
    return power.astype(np.float32, copy=False)


@functools.lru_cache(maxsize=32)
def _check_window(spec_name: str, window: str) -> None:
    try:
        window_of(window, 8, 8, "float64")
    except ValueError as exc:
        raise ValueError(f"{spec_name}(window={window!r}): give a name that scipy.signal.get_window takes, such as hann, hamming or blackman") from exc


def check_frames(spec) -> None:
    """The rules that n_fft, hop_length, win_length, window and padding share, for any value that has these fields."""
    name = type(spec).__name__
    for field in ("n_fft", "hop_length"):
        if getattr(spec, field) < 1:
            raise ValueError(f"{name}({field}={getattr(spec, field)}): give a whole number of samples, 1 or more")
    if spec.win_length is not None and not 1 <= spec.win_length <= spec.n_fft:
        raise ValueError(f"{name}(win_length={spec.win_length}) has to lie between 1 and n_fft={spec.n_fft}")
    _check_window(name, spec.window)
    choose(spec.pad_mode, PAD_MODES, "pad_mode")
    if spec.top_db is not None and spec.top_db <= 0:
        raise ValueError(f"{name}(top_db={spec.top_db:g}): give decibels above 0, or None for no floor")
    if isinstance(spec.ref, str):
        choose(spec.ref, ["max"], "ref (or give a power above 0)")
    elif spec.ref <= 0:
        raise ValueError(f"{name}(ref={spec.ref:g}): give a power above 0, or 'max'")
