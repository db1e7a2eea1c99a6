"""The same training in less time: Adam in one pass over the memory, and convolutions in the layout that processors compute fastest.

    learn = spec_learner(dls, "resnet18")                   # has both
    spec_learner(dls, "resnet18", opt_func=Adam)            # fastai's own optimizer
    learn.to_contiguous()                                   # fastai's way back to the usual layout

Neither changes what is computed, only the order of sums: results differ from fastai's by rounding. `benchmarks/epoch.py` measures them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from functools import partial
from itertools import groupby
from typing import Any

import torch
from fastai.callback.channelslast import ChannelsLast
from fastai.optimizer import Optimizer, adam_step, average_grad, average_sqr_grad, step_stat, weight_decay
from torch import Tensor
from torch.optim.adamw import adamw


class ChannelsLastWherePaid(ChannelsLast):
    """fastai's callback, on a CPU, and in mixed precision on a GPU, whose float32 convolutions gain nothing.

    Weights keep their names and shapes; only where their numbers lie in memory changes, and the activations follow.
    """

    def before_fit(self) -> None:
        if next(self.learn.model.parameters()).device.type == "cpu" or hasattr(self.learn, "mixed_precision"):
            super().before_fit()


@functools.lru_cache(maxsize=4)
def _is_fused(device: str) -> bool:
    """Whether torch has Adam as one operation on this kind of device."""
    try:
        torch.optim.AdamW([torch.zeros(1, device=device, requires_grad=True)], fused=True)
    except RuntimeError:  # torch below 2.4 on a CPU
        return False
    return True


def _way(tensors: Iterable[Tensor]) -> dict[str, bool] | None:
    """How `adamw` is told to update these parameters and gradients; None: fastai's steps, one operation after the other."""
    kinds = {(x.device.type, x.is_floating_point(), x.layout) for x in tensors}
    if kinds == {("cuda", True, torch.strided)}:
        return {"fused": False, "foreach": True}  # fused it would need the numbers of steps on the GPU
    if kinds == {("cpu", True, torch.strided)} and _is_fused("cpu"):
        return {"fused": True, "foreach": False}
    return None


def _laid_out(x: Tensor | None, like: Tensor) -> Tensor:
    """`x` in the memory layout of `like`, by which the fused operation reads; None is zeros."""
    if x is None:
        return torch.zeros_like(like)
    return x if x.stride() == like.stride() and x.dtype == like.dtype else torch.empty_like(like).copy_(x)


class FastAdam(Optimizer):
    """fastai's `Adam` with decoupled weight decay, whose step is one operation of torch's where it has one (CPU, CUDA).

    It reads and writes every number once, where fastai's dozen operations do so a dozen times. Its state is that of fastai's `Adam`, so that
    each goes on from the other's checkpoints. Gradients are released after a step, not set to zero: a parameter that has none is left alone.

    Parameters
    ----------
    params : sequence of lists of parameters
        Groups.
    lr : float
        Learning rate.
    mom, sqr_mom : float, default 0.9 and 0.99
        Decay of the means of gradients and of their squares.
    eps : float, default 1e-5
        Added to the root.
    wd : float, default 0.01
        Weight decay.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float,
        mom: float = 0.9,
        sqr_mom: float = 0.99,
        eps: float = 1e-5,
        wd: float = 0.01,
        **kwargs: Any,
    ) -> None:
        steps = [weight_decay, partial(average_grad, dampening=True), average_sqr_grad, step_stat, adam_step]
        super().__init__(params, steps, lr=lr, mom=mom, sqr_mom=sqr_mom, eps=eps, wd=wd, **kwargs)

    def zero_grad(self) -> None:
        for p, *_ in self.all_params(with_grad=True):
            p.grad = None

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        updated = [(p, state, hyper) for p, _, state, hyper in self.all_params(with_grad=True)]
        way = _way(x for p, *_ in updated for x in (p, p.grad))
        if way is None or closure is not None:
            super().step(closure)
            return
        for (decayed, _), alike in groupby(updated, lambda one: (one[1].get("do_wd", True), id(one[2]))):
            self._update_alike(list(alike), decayed, way)

    def _update_alike(self, updated: list[tuple[Tensor, dict, dict]], decayed: bool, way: dict[str, bool]) -> None:
        """One step of parameters that share their numbers: (parameter, its state, numbers)."""
        params, hyper = [p for p, *_ in updated], updated[0][2]
        averages, squares = (
            [_laid_out(state.get(name), p) for p, state, _ in updated] for name in ("grad_avg", "sqr_avg")
        )
        counts = [state.get("step", 0) for _, state, _ in updated]
        adamw(
            params,
            [_laid_out(p.grad, p) for p in params],
            averages,
            squares,
            [],
            [torch.tensor(float(count)) for count in counts],
            amsgrad=False,
            maximize=False,
            beta1=float(hyper["mom"]),
            beta2=float(hyper["sqr_mom"]),
            lr=float(hyper["lr"]),
            weight_decay=float(hyper["wd"]) if decayed else 0.0,
            eps=float(hyper["eps"]),
            **way,
        )
        for (p, state, _), average, square, count in zip(updated, averages, squares, counts):
            self.state[p] = {**state, "grad_avg": average, "sqr_avg": square, "step": count + 1}
