"""The configuration of a run: all that decides what is trained, as one value. `run.toml` holds it, and `specimg cv` reads it.

    config = RunConfig.from_toml(Path("runs/r34/run.toml"))
    config.recipe.epochs, config.loaders["bs"]

Two runs are the same where their `identity` is: folders of data and the number of workers are no part of it.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
import torch

from ..audio.variants import Variant, variants_by_name
from ..competitions import Competition
from ..competitions.layouts.from_toml import CompetitionFile
from ..core.values import Value, choose, register
from ..data.augment import Augment
from ..data.live import refuse_live
from ..data.tta import TTA
from ..data.wave_augment import WaveAugment
from ..labels.classes import Balance
from ..render.renderer import Renderer
from ..training import Recipe

MOST_SEEDS = 1000
TRUST = ("sampling", "loss", "ignore")

_COMPETITION = (*(entry.name for entry in fields(CompetitionFile)), "toml")
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
    "live",
    "wave_augment",
    "shuffle",
    "num_workers",
    "device",
)
_LEARNING = (
    "pretrained",
    "weights",
    "stats",
    "split",
    "metrics",
    "ps",
    "lin_ftrs",
    "concat_pool",
    "head",
    "frame_share",
    "net",
    "wd",
    "moms",
)
_RESOURCES = {"cache", "n_jobs", "progress", "num_workers", "device", "val_bs"}  # where and how fast, not what


def _plain(part: object, where: str) -> object:
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
    """Nested dictionaries as one with keys such as "recipe.epochs", so that a difference has a name."""
    flat = {}
    for name, value in part.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _variants(given: object) -> list[dict]:
    """Variants as dictionaries, each once, from values or dictionaries. ValueError for anything else."""
    several = [given] if isinstance(given, dict) else given or []
    if not isinstance(several, list):
        raise ValueError(
            f"loaders['variants'] is {given!r}; give a list of variants, such as [TimeStretch(0.8), AddNoise(20)]"
        )
    variants = (Variant.from_dict(v) if isinstance(v, dict) else v for v in several)
    return [variant.to_dict() for variant in variants_by_name(variants).values()]


@register
@dataclass(frozen=True)
class RunConfig(Value):
    """What is trained on what and how, and how it is evaluated: the arguments of `cross_validate` as one value.

    Parameters
    ----------
    competition : dict
        `slug`, `folder` and `options` of `Competition.open`; or the entries of any other competition, as `Competition.from_dict` takes them;
        or `toml`, a file that holds these.
    renderer : Renderer, default Renderer()
        How recordings are drawn.
    arch : str, default "resnet34"
        Name of a network: timm's, or one of `list_nets()`.
    recipe : Recipe, default Recipe()
        How each network is trained.
    folds : int, optional
        Number of folds, 2 or more. None: those of the data set, else 5.
    seeds : int, default 1
        Networks per fold, 1 to 1000, with the seeds `recipe.seed` (0 where that is None), +1, +2 ...
    trust : {"sampling", "loss", "ignore"}, default "sampling"
        What the weights of clips do: set how often a clip is drawn, weight its loss, or nothing.
    tta : TTA, default TTA()
        Windows whose predictions are averaged, on held-out and test clips alike.
    pseudo : str, optional
        Folder of an earlier run whose predictions of the test set are used as labels in training.
    pseudo_min : float, default 0.9
        Probability, in (0, 1), from which such a prediction is used.
    loaders : dict
        Arguments of `SpecDataLoaders.from_df` after the labels: `bs`, `size`, `method`, `seconds`, `augment`, `variants`, `cache` ...
    learner : dict
        Arguments of `spec_learner`: `pretrained`, `weights`, `stats`, `ps` ...

    Examples
    --------
    >>> from specimg.experiments import RunConfig
    >>> config = RunConfig({"slug": "ESC-50", "folder": "data"}, arch="resnet18", loaders={"bs": 32})
    >>> config.recipe.epochs, config.identity["loaders.bs"]
    (14, 32)
    >>> RunConfig.from_toml(config.to_toml()) == config
    True
    """

    competition: dict = field(default_factory=dict)
    renderer: Renderer = Renderer()
    arch: str = "resnet34"
    recipe: Recipe = Recipe()
    folds: int | None = None
    seeds: int = 1
    trust: str = "sampling"
    tta: TTA = TTA()
    pseudo: str | None = None
    pseudo_min: float = 0.9
    loaders: dict = field(default_factory=dict)
    learner: dict = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: dict) -> RunConfig:
        """The configuration that a dictionary describes.

        Parameters
        ----------
        data : dict
            As `to_dict` gives it; the kind "choices" of earlier versions is read too.

        Returns
        -------
        RunConfig
        """
        if isinstance(data, dict) and data.get("kind") == "choices":
            data = {**data, "kind": "runconfig"}
        return super().from_dict(data)

    def _check(self) -> None:
        choose(self.trust, TRUST, "trust")
        rules = {
            "folds": (self.folds is None or self.folds >= 2, "2 or more, or None"),
            "arch": (self.arch.isprintable(), "the name of a network"),
            "seeds": (1 <= self.seeds <= MOST_SEEDS, f"1 to {MOST_SEEDS}"),
            "pseudo_min": (0 < self.pseudo_min < 1, "between 0 and 1"),
        }
        for name, (kept, rule) in rules.items():
            if not kept:
                raise ValueError(f"{name}={getattr(self, name)!r}: it must be {rule}")
        for name, known in {"competition": _COMPETITION, "loaders": _DRAWING + _LOADING, "learner": _LEARNING}.items():
            object.__setattr__(self, name, self._options(name, known))
        live, waves = bool(self.loaders.get("live")), self.loading.get("wave_augment")
        if live or waves is not None:
            refuse_live(live, self.renderer, self.variants, None, waves)

    def _options(self, name: str, known: tuple[str, ...]) -> dict:
        """A copy of one of the dictionaries as TOML can hold it. ValueError for an unknown option."""
        options = getattr(self, name)
        for option in options:
            choose(option, known, f"option in {name}=")
        plain = {option: _plain(value, f"{name}[{option!r}]") for option, value in options.items()}
        variants = _variants(plain.pop("variants", None))
        return {**plain, "variants": variants} if variants else plain

    @property
    def identity(self) -> dict:
        """What decides the result, flat: "recipe.epochs" and so on.

        Folders of data and weights, which differ from machine to machine, and what changes only the speed are left out. The competition
        is compared by its `Task`.
        """
        whole = self.to_dict()
        whole["competition"] = {"options": self.competition.get("options") or {}}
        whole["loaders"] = {name: value for name, value in whole["loaders"].items() if name not in _RESOURCES}
        if self.variants:
            whole["loaders"]["variants"] = [variant.name for variant in self.variants]  # names hold all of their fields
        if whole["learner"].get("weights"):
            whole["learner"]["weights"] = Path(whole["learner"]["weights"]).name
        whole["pseudo"] = self.pseudo is not None
        return _flat({name: value for name, value in whole.items() if name != "kind"})

    @property
    def drawing(self) -> dict:
        """Options of `render_tree` among those of the loaders."""
        return {name: value for name, value in self.loaders.items() if name in _DRAWING}

    @property
    def variants(self) -> tuple[Variant, ...]:
        """Variants of each clip that training uses besides the clip itself."""
        return tuple(Variant.from_dict(variant) for variant in self.loaders.get("variants", ()))

    @property
    def loading(self) -> dict:
        """Options of the loaders without those of drawing, as Python objects."""
        options = {name: value for name, value in self.loaders.items() if name in _LOADING}
        if self.variants:
            options["variants"] = self.variants
        for name, kind in (("augment", Augment), ("wave_augment", WaveAugment), ("balance", Balance)):
            if isinstance(options.get(name), dict):
                options[name] = kind.from_dict(options[name])
        if options.get("device") is not None:
            options["device"] = torch.device(options["device"])  # fastai takes no name of one
        return options

    def learning(self, metric: str) -> dict:
        """Options of `spec_learner`, with the competition's metric first.

        Parameters
        ----------
        metric : str
            Name of the competition's metric.

        Returns
        -------
        dict
            Keyword arguments.
        """
        given = self.learner.get("metrics") or []
        metrics = [metric, *([given] if isinstance(given, str) else given)]
        return {**self.learner, "metrics": list(dict.fromkeys(metrics))}

    @property
    def first_seed(self) -> int:
        """Seed of the folds and of the first network of each."""
        return self.recipe.seed or 0

    @property
    def seed_list(self) -> list[int]:
        """Seeds of the networks of a fold."""
        return [self.first_seed + i for i in range(self.seeds)]


def open_competition(about: dict) -> Competition:
    """Open the competition that `RunConfig.competition` describes.

    Parameters
    ----------
    about : dict
        `slug`, `folder` and `options` of `Competition.open`; or also `train`, `test`, `metric` ... of `Competition.from_dict`; or `toml`, a file
        with these.

    Returns
    -------
    Competition

    Raises
    ------
    ValueError
        Neither `slug` nor `toml` is given, or both.

    Examples
    --------
    >>> from specimg.experiments import open_competition
    >>> open_competition({"slug": "freesound-audio-tagging", "folder": "freesound"})    # doctest: +SKIP
    """
    beside = [name for name in about if name != "toml" and about[name]]
    if "toml" in about and beside:
        raise ValueError(
            f"[competition] has toml and {' and '.join(beside)}: the file describes the competition; leave one of them out"
        )
    if "toml" in about:
        return Competition.from_toml(about["toml"])
    if "slug" not in about:
        raise ValueError(
            "which competition? give [competition] with slug and folder; of one that is not known also metric, [competition.train] and "
            "[competition.test]; or with toml, a file that has these"
        )
    return Competition.from_dict(about)
