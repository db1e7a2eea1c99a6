"""Representations as modules of torch: the same numbers as `specimg.spectrogram`, out of operations that ONNX has.

    module = feature_module(Mel(n_mels=64), sr=16000)
    x = module(y)                   # double (batch, samples) -> float32 (batch, channels, bins, frames), low notes in row 0
    list_graph_representations()    # those that have a module

A new one is a module with the decorator `in_graph`. Its constants - windows, filters, matrices - are buffers, so that they go into
the exported file. Constant-Q transforms and what stands on them have none: their filters are of other lengths at each octave, and the
signal is resampled between.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from scipy import fft
from torch import Tensor, nn

from ...spectrogram import Delta, Gammatone, Gfcc, Mel, Mfcc, Pcen, Representation, Scaled, Stack, Stft
from ...spectrogram.combined import AXES, _slope_filter
from ...spectrogram.spectrum import window_of
from .transform import Fourier, as_double, cut_frames, reference, relative_power, to_db

_MODULES: dict[str, type[nn.Module]] = {}


def in_graph(*specs: type[Representation]):
    """Class decorator: the module of these representations; made with `(spec, sr)`."""

    def register(module: type[nn.Module]) -> type[nn.Module]:
        _MODULES.update({spec.__name__.lower(): module for spec in specs})
        return module

    return register


def list_graph_representations() -> list[str]:
    """The representations that can be part of an exported graph.

    Returns
    -------
    list of str
        Their kinds.

    Examples
    --------
    >>> from specimg.data.graph import list_graph_representations
    >>> list_graph_representations()
    ['delta', 'gammatone', 'gfcc', 'mel', 'mfcc', 'scaled', 'stack', 'stft']
    """
    return sorted(_MODULES)


def without_module(spec: Representation) -> list[str]:
    """Kinds in `spec`, and in what it is made of, that have no module."""
    parts = [getattr(spec, "spec", None), *getattr(spec, "parts", ())]
    below = [kind for part in parts if part is not None for kind in without_module(part)]
    return ([] if spec.kind in _MODULES else [spec.kind]) + below


def feature_module(spec: Representation, sr: int) -> nn.Module:
    """The module that computes a representation.

    Parameters
    ----------
    spec : Representation
        What it computes.
    sr : int
        Hz of the samples.

    Returns
    -------
    Module
        double (batch, samples) -> float32 (batch, channels, bins, frames), low frequencies in row 0.

    Raises
    ------
    ValueError
        If there is none, or if `spec` does not go with `sr`.

    Examples
    --------
    >>> import torch
    >>> from specimg.data.graph import feature_module
    >>> feature_module(sp.Mel(n_mels=40), sr=16000)(torch.zeros(1, 16000).double()).shape
    torch.Size([1, 1, 40, 32])
    """
    missing = without_module(spec)
    if missing:
        raise ValueError(
            f"{' and '.join(dict.fromkeys(missing))} cannot be drawn in an exported graph; these can: "
            f"{', '.join(list_graph_representations())}. Or export the network alone, with audio=False"
        )
    return _MODULES[spec.kind](spec, sr)


def as_picture(x: Tensor) -> Tensor:
    """`(batch, frames, bins)` -> float32 `(batch, 1, bins, frames)`."""
    return x.transpose(1, 2).unsqueeze(1).float()


# ---------------------------------------------------------------------- windowed frames


class _Transformed(nn.Module):
    """Windowed frames and their transform."""

    def __init__(self, spec, sr: int):
        super().__init__()
        self.spec, self.rows, self.fourier = spec, spec.n_fft // 2 + 1, Fourier(spec.n_fft)
        self.register_buffer(
            "window", as_double(window_of(spec.window, spec.win_length or spec.n_fft, spec.n_fft, "float64"))
        )

    def transform(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """`(batch, samples)` -> real and imaginary part, double `(batch, frames, bins)`."""
        spec = self.spec
        return self.fourier(cut_frames(y, spec.n_fft, spec.hop_length, spec.center, spec.pad_mode) * self.window)

    def power(self, y: Tensor) -> Tensor:
        """`(batch, samples)` -> |STFT|^2, double `(batch, frames, bins)`."""
        re, im = self.transform(y)
        return re * re + im * im


@in_graph(Stft)
class StftModule(_Transformed):
    """`Stft`, every part and scale of it."""

    def __init__(self, spec, sr: int):
        super().__init__(spec, sr)
        at = torch.arange(self.rows)
        self.register_buffer("real_bins", (at == 0) | (2 * at == spec.n_fft))  # 0 Hz and half the sampling rate

    def forward(self, y: Tensor) -> Tensor:
        spec, (re, im) = self.spec, self.transform(y)
        power = re * re + im * im
        if spec.part in ("real", "real_imag"):
            one, planes = reference(power, spec.ref), [re, im][: spec.channels]
            return torch.cat([as_picture(self._signed(plane, one)) for plane in planes], 1)
        magnitude = as_picture(self._scaled(power))
        if spec.part == "magnitude":
            return magnitude
        return torch.cat([magnitude, as_picture(self._angle(re, im))], 1)

    def _scaled(self, power: Tensor) -> Tensor:
        if self.spec._scale == "db":
            return to_db(power, self.spec.ref, self.spec.top_db)
        share = relative_power(power, self.spec.ref)
        roots = {"power": 0, "linear": 1, "root": 2}[self.spec._scale]
        for _ in range(roots):
            share = share.sqrt()
        return share

    def _angle(self, re: Tensor, im: Tensor) -> Tensor:
        """Angle in rad, 0 where a cell is silent; in single precision, as onnxruntime has no arc tangent in double."""
        re, im = re.float(), im.masked_fill(self.real_bins, 0.0).float()  # of real bins it would be rounding alone
        on_the_cut = (im == 0.0) & (re < 0.0)  # pi; the exporter's arc tangent says -pi
        return torch.atan2(im.masked_fill(on_the_cut, 1e-37), re)

    def _signed(self, plane: Tensor, one: Tensor) -> Tensor:
        """Signed amplitudes in units of the amplitude whose power is `one`."""
        plane = plane / one.sqrt()
        return plane.sign() * plane.abs().sqrt() if self.spec._scale == "root" else plane


# ---------------------------------------------------------------------- filter banks


class _Filtered(_Transformed):
    """The power of frames under a filter bank."""

    def __init__(self, spec, sr: int):
        super().__init__(spec, sr)
        bank, n_bins = spec._bank(sr), spec.n_fft // 2 + 1
        filters, self.rows = np.empty((n_bins, bank.n_filters)), bank.n_filters
        bank.apply(np.eye(n_bins), filters)
        self.register_buffer("filters", as_double(filters))

    def filtered(self, y: Tensor) -> Tensor:
        """`(batch, samples)` -> double `(batch, frames, filters)`."""
        power = self.power(y)
        if self.spec._power != 2.0:
            power = power ** (self.spec._power / 2)
        return power @ self.filters


def _pcen(power: Tensor, pcen: Pcen, frames_per_second: float) -> Tensor:
    """`Pcen.of` of `(batch, frames, rows)`; the recursion in time is a product with a triangular matrix of its powers."""
    constant = pcen.time_constant * frames_per_second
    share = (np.sqrt(1 + 4 * constant**2) - 1) / (2 * constant**2)
    power = power * pcen.multiplier
    at = torch.arange(power.shape[1], dtype=torch.float64, device=power.device)
    age = at.unsqueeze(1) - at  # frames from one to the other; below 0: in the future
    weights = torch.where(age >= 0, share * torch.exp(age.clamp(min=0) * np.log(1 - share)), torch.zeros_like(age))
    begin = torch.exp((at + 1) * np.log(1 - share)).unsqueeze(1)  # as if the power had always been 1
    smoothed = weights @ power + begin
    gained = power * torch.exp(-pcen.gain * (np.log(pcen.eps) + torch.log1p(smoothed / pcen.eps)))
    return pcen.bias**pcen.power * torch.expm1(pcen.power * torch.log1p(gained / pcen.bias))


@in_graph(Mel, Gammatone)
class BankModule(_Filtered):
    """`Mel` and `Gammatone`: decibels, shares of `ref`, or PCEN."""

    def __init__(self, spec, sr: int):
        super().__init__(spec, sr)
        self.frames_per_second = sr / spec.hop_length

    def forward(self, y: Tensor) -> Tensor:
        spec, found = self.spec, self.filtered(y)
        if getattr(spec, "pcen", None) is not None:
            return as_picture(_pcen(found, spec.pcen, self.frames_per_second))
        return as_picture(
            to_db(found, spec.ref, spec.top_db) if spec.scale == "db" else relative_power(found, spec.ref)
        )


@in_graph(Mfcc, Gfcc)
class CepstrumModule(_Filtered):
    """`Mfcc` and `Gfcc`: a DCT of the compressed power, as one matrix product."""

    def __init__(self, spec, sr: int):
        super().__init__(spec, sr)
        kept = spec.n_mfcc if spec.kind == "mfcc" else spec.n_gfcc
        dct = fft.dct(np.eye(self.rows), axis=0, type=2, norm="ortho")[:kept]
        if getattr(spec, "lifter", 0.0):
            dct *= (1 + spec.lifter / 2 * np.sin(np.pi * np.arange(1, kept + 1) / spec.lifter))[:, None]
        self.rows = kept
        self.register_buffer("dct", as_double(dct.T))

    def forward(self, y: Tensor) -> Tensor:
        spec, found = self.spec, self.filtered(y)
        if getattr(spec, "compression", "log") == "log":
            compressed = to_db(found, spec.ref, spec.top_db)
        else:
            compressed = relative_power(found, spec.ref) ** (1 / 3)
        return as_picture(compressed @ self.dct)


# ---------------------------------------------------------------------- made of others


class _DerivedModule(nn.Module):
    """A picture made of the picture of `spec`; `of` is what it does to it."""

    def __init__(self, spec, sr: int):
        super().__init__()
        self.spec, self.below = spec, feature_module(spec.spec, sr)
        self.rows = self.below.rows

    def forward(self, y: Tensor) -> Tensor:
        return self.of(self.below(y))


@in_graph(Delta)
class DeltaModule(_DerivedModule):
    """`Delta`: weighted sums of neighbouring frames; the slope at either end is held on to."""

    def of(self, x: Tensor) -> Tensor:
        weights = _slope_filter(self.spec.width, self.spec.order)
        inside = x.shape[-1] - self.spec.width + 1
        slopes = sum(float(w) * x[..., i : i + inside].double() for i, w in enumerate(weights))
        edge = self.spec.width // 2
        at = (torch.arange(inside + 2 * edge, device=x.device) - edge).clamp(0, inside - 1)
        return slopes.index_select(-1, at).float()


@in_graph(Scaled)
class ScaledModule(_DerivedModule):
    """`Scaled`: rows or channels by their own numbers; 0 if there is nothing to divide by."""

    def of(self, x: Tensor) -> Tensor:
        x, how = x.double(), self.spec.how
        over = dict(dim=AXES[self.spec.by], keepdim=True)
        if how == "minmax":
            part, size = x - x.amin(**over), x.amax(**over) - x.amin(**over)
        elif how == "standard":
            part = x - x.mean(**over)
            size = part.square().mean(**over).sqrt()
        else:
            part, size = x, x.abs().amax(**over) if how == "max" else x.abs().sum(**over)
        return torch.where(
            size > 0, part / torch.where(size > 0, size, torch.ones_like(size)), torch.zeros_like(part)
        ).float()


def _draw(module: nn.Module, y: Tensor, known: dict[Representation, Tensor]) -> Tensor:
    """`module(y)`; `known` keeps what the parts of a stack have in common, so that a picture and its deltas need it once."""
    if module.spec not in known:
        derived = isinstance(module, _DerivedModule)
        known[module.spec] = module.of(_draw(module.below, y, known)) if derived else module(y)
    return known[module.spec]


def _between_rows(rows: int, bins: int) -> Tensor:
    """Weights `(bins, rows)` of `Stack`: linear between the old rows, first on first and last on last."""
    at = np.linspace(0, rows - 1, bins)
    low = np.minimum(at.astype(int), max(0, rows - 2))
    weights = np.zeros((bins, rows))
    weights[np.arange(bins), low] += 1 - (at - low)
    weights[np.arange(bins), np.minimum(low + 1, rows - 1)] += at - low
    return as_double(weights)


@in_graph(Stack)
class StackModule(nn.Module):
    """`Stack`: the parts as channels, stretched to the tallest, cut to the shortest."""

    def __init__(self, spec, sr: int):
        super().__init__()
        self.spec, self.parts = spec, nn.ModuleList(feature_module(part, sr) for part in spec.parts)
        self.rows = max(part.rows for part in self.parts)
        for i, part in enumerate(self.parts):
            self.register_buffer(f"between{i}", None if part.rows == self.rows else _between_rows(part.rows, self.rows))

    def forward(self, y: Tensor) -> Tensor:
        known = {}
        planes = [_draw(part, y, known) for part in self.parts]
        frames = functools.reduce(torch.sym_min, (p.shape[-1] for p in planes))
        return torch.cat([self._stretched(i, p[..., :frames]) for i, p in enumerate(planes)], 1)

    def _stretched(self, i: int, plane: Tensor) -> Tensor:
        between = getattr(self, f"between{i}")
        return plane if between is None else (between @ plane.double()).float()
