"""Every choice that decides a run, as one value: what `run.toml` holds, and what `specimg cv` reads.

    choices = Choices.from_toml(Path("runs/r34/run.toml"))
    choices.recipe.epochs, choices.loaders["bs"]

Two runs are the same where their `identity` is: where the data lie and how many hands work is no part of it.

>>> Choices(competition={"slug": "ESC-50", "folder": "ESC-50"}, arch="resnet18").recipe.epochs
5
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from ..audio.variants import Variant, variants_by_name
from ..competitions import Competition
from ..core.values import Value, choose, register
from ..data.augment import Augment
from ..data.tta import TTA
from ..render.renderer import Renderer
from ..training import Recipe

__all__ = ["Choices", "open_competition", "TRUST"]

TRUST = ("sampling", "loss", "ignore")

_COMPETITION = ("slug", "folder", "options", "toml")
_DRAWING = ("cache", "n_jobs", "progress")  # of `render_tree`
_LOADING = (
    "variants",
    "balance",
    "bs",
    "val_bs",
    "size",
    "method",
    "seconds",
    "windows",
    "augment",
    "shuffle",
    "num_workers",
    "device",
)
_LEARNING = ("pretrained", "weights", "stats", "split", "metrics", "ps", "lin_ftrs", "concat_pool", "net", "wd", "moms")
_PLACE = {
    "cache",
    "n_jobs",
    "progress",
    "num_workers",
    "device",
    "val_bs",
}  # where and with how many hands, not what is done


def _plain(part, where: str):
    """`part` as TOML can hold it; ValueError where it cannot."""
    if isinstance(part, Value):
        return part.to_dict()
    if isinstance(part, os.PathLike):
        return os.fspath(part)
    if isinstance(part, np.generic):
        return _plain(part.item(), where)
    if isinstance(part, dict):
        return {str(name): _plain(value, f"{where}[{name!r}]") for name, value in part.items()}
    if isinstance(part, (list, tuple)):
        return [_plain(value, f"{where}[{i}]") for i, value in enumerate(part)]
    is_number = isinstance(part, (int, float)) and math.isfinite(part)
    is_text = isinstance(part, str) and part != "none"  # which is how None is written
    if part is None or is_number or is_text:
        return part
    raise ValueError(
        f"{where} is {part!r}, which run.toml cannot hold, so that nobody could repeat the run; "
        "give finite numbers, texts, lists or values of specimg"
    )


def _flat(part: dict, prefix: str = "") -> dict:
    """Nested dictionaries as one, "recipe.epochs" and the like, so that a difference can be named."""
    flat = {}
    for name, value in part.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _variants(given) -> list[dict]:
    """Variants in plain parts, each once, from values or such parts. ValueError where one is none."""
    several = [given] if isinstance(given, dict) else given or []
    if not isinstance(several, list):
        raise ValueError(
            f"loaders['variants'] is {given!r}; give a list of variants, such as [TimeStretch(0.8), AddNoise(20)]"
        )
    return [
        variant.to_dict()
        for variant in variants_by_name(Variant.from_dict(v) if isinstance(v, dict) else v for v in several).values()
    ]


@register
@dataclass(frozen=True)
class Choices(Value):
    """What is trained on what, how, and how it is tested."""

    competition: dict = field(default_factory=dict)  # slug, folder and options of `Competition.open`, or toml: a file
    renderer: Renderer = Renderer()
    arch: str = "resnet34"
    recipe: Recipe = Recipe()
    folds: int | None = None  # None: those that the data set gives, else 5
    seeds: int = 1  # networks a fold, from recipe.seed (default 0) on
    trust: str = "sampling"  # what the weights of clips do: sampling rates, weights in the loss, or nothing
    tta: TTA = TTA()  # windows over which answers are averaged, in validation and test alike
    pseudo: str | None = None  # folder of an earlier run, whose answers on test clips are learnt from
    pseudo_min: float = 0.9  # probability from which an answer is learnt from
    loaders: dict = field(default_factory=dict)  # bs, size, method, seconds, augment, variants ... of SpecDataLoaders
    learner: dict = field(default_factory=dict)  # pretrained, weights, stats, ps, net ... of spec_learner

    def _check(self) -> None:
        choose(self.trust, TRUST, "trust")
        rules = {
            "folds": (self.folds is None or self.folds >= 2, "2 or more, or None"),
            "seeds": (self.seeds >= 1, "1 or more"),
            "pseudo_min": (0 < self.pseudo_min < 1, "between 0 and 1"),
        }
        for name, (kept, rule) in rules.items():
            if not kept:
                raise ValueError(f"{name}={getattr(self, name)!r}: it must be {rule}")
        for name, known in {"competition": _COMPETITION, "loaders": _DRAWING + _LOADING, "learner": _LEARNING}.items():
            object.__setattr__(self, name, self._options(name, known))

    def _options(self, name: str, known: tuple[str, ...]) -> dict:
        """A copy of one of the dictionaries, in plain parts. ValueError for an unknown option."""
        options = getattr(self, name)
        for option in options:
            choose(option, known, f"option in {name}=")
        plain = {option: _plain(value, f"{name}[{option!r}]") for option, value in options.items()}
        if "variants" in plain:
            plain["variants"] = _variants(plain["variants"])
        return {
            option: value for option, value in plain.items() if (option, value) != ("variants", [])
        }  # none at all is the default

    @property
    def identity(self) -> dict:
        """The choices that decide what comes out, flat: "recipe.epochs" and the like.

        Left out are the folders of data and weights, which differ from machine to machine, and what only changes speed. Which
        competition it is, its task tells.
        """
        whole = self.to_dict()
        whole["competition"] = {"options": self.competition.get("options") or {}}
        whole["loaders"] = {name: value for name, value in whole["loaders"].items() if name not in _PLACE}
        if self.variants:
            whole["loaders"]["variants"] = [variant.name for variant in self.variants]  # which says all of it
        if whole["learner"].get("weights"):
            whole["learner"]["weights"] = Path(whole["learner"]["weights"]).name
        whole["pseudo"] = self.pseudo is not None
        return _flat(whole)

    @property
    def drawing(self) -> dict:
        """Of the loaders' options those of `render_tree`."""
        return {name: value for name, value in self.loaders.items() if name in _DRAWING}

    @property
    def variants(self) -> tuple[Variant, ...]:
        """What training sees of each clip besides the clip itself."""
        return tuple(Variant.from_dict(variant) for variant in self.loaders.get("variants", ()))

    @property
    def loading(self) -> dict:
        """Of the loaders' options those after drawing, as Python takes them."""
        options = {name: value for name, value in self.loaders.items() if name in _LOADING}
        if self.variants:
            options["variants"] = self.variants
        if isinstance(options.get("augment"), dict):
            options["augment"] = Augment.from_dict(options["augment"])
        if options.get("device") is not None:
            options["device"] = torch.device(options["device"])  # fastai takes no name of one
        return options

    def learning(self, metric: str) -> dict:
        """Options of `spec_learner`; its metrics begin with the competition's own."""
        given = self.learner.get("metrics") or []
        metrics = [metric, *([given] if isinstance(given, str) else given)]
        return {**self.learner, "metrics": list(dict.fromkeys(metrics))}

    @property
    def first_seed(self) -> int:
        """The seed of the folds, and of the first network of each."""
        return self.recipe.seed or 0

    @property
    def seed_list(self) -> list[int]:
        """The seed of each network of a fold."""
        return [self.first_seed + i for i in range(self.seeds)]


def open_competition(about: dict) -> Competition:
    """The competition that `Choices.competition` names: slug, folder and options, or a TOML file that says all of it."""
    beside = [name for name in ("slug", "folder", "options") if about.get(name)]
    if "toml" in about and beside:
        raise ValueError(
            f"[competition] has toml and {' and '.join(beside)}: the file says which competition it is; leave one of them out"
        )
    if "toml" in about:
        return Competition.from_toml(about["toml"])
    if "slug" not in about:
        raise ValueError(
            "which competition? give [competition] with slug and folder, or with toml, a file that describes one"
        )
    return Competition.open(about["slug"], about.get("folder"), **(about.get("options") or {}))
