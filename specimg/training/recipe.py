"""What is decided about a training: one value, `Recipe`.

It holds choices only. What they come to for a network at hand, such as the rate that `lr="find"` finds, stands in the run. A recipe
is checked when it is made, as far as that goes without a network; `check_learner` of `equipping` does the rest. It travels as TOML:

>>> from specimg.training import Recipe
>>> Recipe.from_toml(Recipe(epochs=3).to_toml()) == Recipe(epochs=3)
True
"""

from __future__ import annotations

from dataclasses import dataclass

from ..core.values import Value, choose, register
from .losses import Loss

__all__ = ["Recipe"]


@register
@dataclass(frozen=True)
class Recipe(Value):
    """How a network is trained. `lr_mult`, `pct_start`, `div` and `div_final` are fastai's, and mean the same."""

    epochs: int = 5  # epochs in which the whole network learns
    freeze_epochs: int = 1  # epochs before them in which only the head learns; skipped if nothing is pretrained
    lr: float | str = "find"  # peak rate of the head; "find" looks for it
    lr_mult: float = 100.0  # a pretrained body's earliest layers learn at lr / lr_mult; from scratch all at lr
    pct_start: float = 0.25  # share of a phase in which the rate rises
    div: float = 25.0  # the rate starts at lr / div
    div_final: float = 1e5  # and ends at lr / div_final
    wd: float | None = None  # weight decay; None is the learner's own
    mixup: float = 0.0  # alpha of the Beta distribution by which two clips are blended; 0 is off
    label_smoothing: float = 0.0  # share of the target given to all classes alike, in training only; 0 is off
    loss: Loss | None = (
        None  # GeneralizedCrossEntropy or SoftBootstrap in training only, where labels are partly wrong; None is the learner's
    )
    clip: float | None = None  # largest norm of the gradient; None is off
    early_stopping: int = 0  # unfrozen epochs without a better `monitor` before the run ends; 0 is off
    best_model: bool = False  # go back to the epoch with the best `monitor` at the end
    monitor: str = "valid_loss"  # column of the history; a loss or an error should fall, anything else rise
    precision: str = "auto"  # full: float32; half: float16 where that is safe; auto: half on CUDA, else full
    seed: int | None = None  # of all chance in training; None draws one, and the run notes it

    def _rules(self) -> dict[str, tuple[bool, str]]:
        """Field -> (does it keep its rule, the rule)."""
        is_rate = self.lr == "find" if isinstance(self.lr, str) else 0 < self.lr <= 10
        return {
            "epochs": (self.epochs >= 0, "0 or more"),
            "freeze_epochs": (self.freeze_epochs >= 0, "0 or more"),
            "lr": (is_rate, "'find', or a number above 0 and up to 10"),
            "lr_mult": (self.lr_mult >= 1, "1 or more"),
            "pct_start": (0 < self.pct_start < 1, "between 0 and 1"),
            "div": (self.div >= 1, "1 or more"),
            "div_final": (self.div_final >= 1, "1 or more"),
            "wd": (self.wd is None or self.wd >= 0, "0 or more, or None"),
            "mixup": (self.mixup >= 0, "0 (off) or more"),
            "label_smoothing": (0 <= self.label_smoothing < 1, "0 (off) or more, and below 1"),
            "clip": (self.clip is None or self.clip > 0, "above 0, or None (off)"),
            "early_stopping": (self.early_stopping >= 0, "0 (off) or more"),
            "seed": (self.seed is None or 0 <= self.seed < 2**32, "from 0 to 2**32 - 1, or None"),
        }

    def _check(self) -> None:
        choose(self.precision, ("auto", "full", "half"), "precision")
        for name, (kept, rule) in self._rules().items():
            if not kept:
                raise ValueError(f"Recipe({name}={getattr(self, name)!r}): it must be {rule}")
        if self.epochs + self.freeze_epochs == 0:
            raise ValueError("Recipe(epochs=0, freeze_epochs=0) trains nothing; give one epoch or more")
        if self.loss is not None and self.label_smoothing:
            raise ValueError(
                f"Recipe(loss={self.loss}, label_smoothing={self.label_smoothing:g}): each is an answer to wrong labels; "
                "set label_smoothing=0, or leave out loss"
            )
