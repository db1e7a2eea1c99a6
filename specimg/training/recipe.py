"""How a network is trained, as one value: `Recipe`.

It holds choices only. What follows from them for a given network, such as the learning rate that `lr="find"` finds, is recorded in
`learn.recipe` and in the training folder. A recipe checks its fields when it is made; `callbacks.check_learner` checks it against a
learner. It travels as TOML:

>>> from specimg.training import Recipe
>>> Recipe.from_toml(Recipe(epochs=3).to_toml()) == Recipe(epochs=3)
True
"""

from __future__ import annotations

from dataclasses import dataclass

from ..core.values import Value, choose, register
from .losses import Loss


@register
@dataclass(frozen=True)
class Recipe(Value):
    """How a network is trained: frozen epochs, then unfrozen ones, each phase under fastai's one-cycle policy.

    In the frozen epochs only the head of a pretrained network learns, then the whole network. From scratch the frozen epochs are
    skipped. `lr_mult`, `pct_start`, `div` and `div_final` mean what they mean in fastai's `fine_tune` and `fit_one_cycle`.

    Parameters
    ----------
    epochs : int, default 14
        Epochs in which the whole network learns, 0 or more.
    freeze_epochs : int, default 1
        Epochs before them in which only the head learns, 0 or more.
    lr : float, "default" or "find", default "default"
        Peak learning rate of the head, above 0 and up to 10. "default" is 0.01 for a pretrained network and 0.003 from scratch; "find"
        takes fastai's suggestion from a trial run of a quarter of the training's steps, 40 to 100, or the default where these are more than
        half of the training. After frozen epochs the unfrozen ones use half of it.
    lr_mult : float, default 3
        The first layers of a pretrained body learn at lr / lr_mult, 1 or more. From scratch all layers learn at lr. fastai's 100 is for
        photographs: layers trained on photographs must change more for sounds (benchmarks/transfer.py).
    pct_start : float, default 0.25
        Share of each phase in which the learning rate rises, between 0 and 1.
    div : float, default 25
        Each phase starts at lr / div, 1 or more.
    div_final : float, default 1e5
        Each phase ends at lr / div_final, 1 or more.
    wd : float, optional
        Weight decay, 0 or more. None is the learner's own (fastai: 0.01).
    mixup : float, default 0
        Alpha of the Beta distribution from which MixUp draws its weights; 0 is off, 0.2 to 0.4 are usual.
    label_smoothing : float, default 0
        Share of the target spread evenly over all classes, or of several labels a clip over present and absent, in training only; 0
        (off) to below 1.
    loss : Loss, optional
        In training only: `GeneralizedCrossEntropy` or `SoftBootstrap`, against wrong labels; `FocalLoss`, `AsymmetricLoss` or
        `BinaryCrossEntropy`, for rare ones; `SoftAUC`, for the ranking. None is the learner's own loss.
    clip : float, optional
        Largest norm of the gradient, above 0. None is off.
    early_stopping : int, default 0
        Unfrozen epochs without a better `monitor` after which training ends; 0 is off.
    best_model : bool, default False
        Restore the weights of the epoch with the best `monitor` at the end.
    monitor : str, default "valid_loss"
        Column of the history. Lower is better where its name contains "loss" or "error", else higher.
    ema : float, default 0
        Decay per step of an exponential moving average of the weights, which validation uses after every epoch and which stays at the
        end; below 1, 0.99 to 0.9999 are usual, 0 is off. It rises to this value: the average over the first steps is short.
    average_last : int, default 0
        At the end the mean of the weights after each of the last so many unfrozen epochs, 2 to `epochs`, takes their place; 0 is off.
        Statistics of batch normalisation are measured again, in one more pass over the training clips. The table shows the weights
        of each epoch; what the average and the last epoch score on the validation clips is printed, and kept in training.json, with `ema` too.
    precision : {"auto", "full", "half"}, default "auto"
        "half" is mixed precision (CUDA only), "full" float32, "auto" half on CUDA and full elsewhere.
    seed : int, optional
        Seed of all randomness in training, 0 to 2**32 - 1. None draws one, which is recorded.

    Raises
    ------
    ValueError
        A field is out of its range, there is no epoch at all, `label_smoothing` goes with a `loss` against wrong labels, or `average_last` with
        `ema`, `best_model` or `early_stopping`.

    References
    ----------
    .. [1] Smith, "A disciplined approach to neural network hyper-parameters", 2018, arXiv:1803.09820 (one-cycle policy).
    .. [2] Zhang et al., "mixup: Beyond empirical risk minimization", ICLR 2018, arXiv:1710.09412.
    .. [3] Tarvainen and Valpola, "Mean teachers are better role models", NIPS 2017, arXiv:1703.01780 (moving average of weights).
    .. [4] Izmailov et al., "Averaging weights leads to wider optima and better generalization", UAI 2018, arXiv:1803.05407.

    Examples
    --------
    >>> recipe = sp.Recipe(epochs=10, freeze_epochs=5)
    >>> recipe.replace(lr=0.003)
    Recipe(epochs=10, freeze_epochs=5, lr=0.003)
    """

    epochs: int = 14
    freeze_epochs: int = 1
    lr: float | str = "default"
    lr_mult: float = 3.0
    pct_start: float = 0.25
    div: float = 25.0
    div_final: float = 1e5
    wd: float | None = None
    mixup: float = 0.0
    label_smoothing: float = 0.0
    loss: Loss | None = None
    clip: float | None = None
    early_stopping: int = 0
    best_model: bool = False
    monitor: str = "valid_loss"
    ema: float = 0.0
    average_last: int = 0
    precision: str = "auto"
    seed: int | None = None

    def _rules(self) -> dict[str, tuple[bool, str]]:
        """Field -> (is it in its range, the range)."""
        lr_fits = self.lr in ("default", "find") if isinstance(self.lr, str) else 0 < self.lr <= 10
        return {
            "epochs": (self.epochs >= 0, "0 or more"),
            "freeze_epochs": (self.freeze_epochs >= 0, "0 or more"),
            "lr": (lr_fits, "'default', 'find', or a number above 0 and up to 10"),
            "lr_mult": (self.lr_mult >= 1, "1 or more"),
            "pct_start": (0 < self.pct_start < 1, "between 0 and 1"),
            "div": (self.div >= 1, "1 or more"),
            "div_final": (self.div_final >= 1, "1 or more"),
            "wd": (self.wd is None or self.wd >= 0, "0 or more, or None"),
            "mixup": (self.mixup >= 0, "0 (off) or more"),
            "label_smoothing": (0 <= self.label_smoothing < 1, "0 (off) or more, and below 1"),
            "clip": (self.clip is None or self.clip > 0, "above 0, or None (off)"),
            "early_stopping": (self.early_stopping >= 0, "0 (off) or more"),
            "ema": (0 <= self.ema < 1, "0 (off) or more, and below 1"),
            "average_last": (
                self.average_last == 0 or 2 <= self.average_last <= self.epochs,
                f"0 (off), or from 2 to epochs={self.epochs}",
            ),
            "seed": (self.seed is None or 0 <= self.seed < 2**32, "from 0 to 2**32 - 1, or None"),
        }

    def _check(self) -> None:
        choose(self.precision, ("auto", "full", "half"), "precision")
        for name, (fits, rule) in self._rules().items():
            if not fits:
                raise ValueError(f"Recipe({name}={getattr(self, name)!r}): it must be {rule}")
        if self.epochs + self.freeze_epochs == 0:
            raise ValueError("Recipe(epochs=0, freeze_epochs=0) trains nothing; give one epoch or more")
        if self.loss is not None and self.label_smoothing and not self.loss.takes_smoothing:
            raise ValueError(
                f"Recipe(loss={self.loss}, label_smoothing={self.label_smoothing:g}): both are remedies for wrong labels; "
                "set label_smoothing=0, or leave out loss"
            )
        for name in ("ema", "best_model", "early_stopping") if self.average_last else ():
            if getattr(self, name):
                why = {
                    "ema": "both average the weights",
                    "best_model": "one returns the mean of several epochs, the other a single one",
                    "early_stopping": "which epochs are the last is known only where none stops the training",
                }
                raise ValueError(
                    f"Recipe(average_last={self.average_last}, {name}={getattr(self, name)}): {why[name]}; give one of them"
                )
