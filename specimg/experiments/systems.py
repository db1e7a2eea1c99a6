"""What a comparison compares: a system is a network, a picture, and how it is trained.

>>> make_systems(["resnet18", "mini_resnet"], {"mel": Renderer()})[1].name
'mini_resnet, mel'

`complete` adds what all systems of a comparison share; names of systems are names of folders, and have to differ as such.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..core.text import count, examples
from ..core.values import Value, register
from ..models.networks import is_own
from ..render.renderer import Renderer
from ..training import Recipe
from .choices import Choices

__all__ = ["System", "name_looks", "make_systems", "complete", "check_names", "common_seed"]

_TIMMS = ("weights", "ps", "lin_ftrs", "concat_pool")  # options of `spec_learner` that our own networks refuse


@register
@dataclass(frozen=True)
class System(Value):
    """A network, a picture, and how it is trained where that differs from the other systems."""

    name: str
    arch: str
    renderer: Renderer = Renderer()
    recipe: Recipe | None = None  # None is the comparison's
    loaders: dict = field(default_factory=dict)  # over the comparison's
    learner: dict = field(default_factory=dict)  # over the comparison's

    def _check(self) -> None:
        choices = Choices(renderer=self.renderer, arch=self.arch, loaders=self.loaders, learner=self.learner)
        object.__setattr__(self, "loaders", choices.loaders)
        object.__setattr__(self, "learner", choices.learner)

    @property
    def folder(self) -> str:
        """The name as the name of a folder."""
        return re.sub(r"[^\w.+=]+", "-", self.name).strip("-.")


def name_looks(renderers: Renderer | Mapping[str, Renderer] | Iterable[Renderer]) -> dict[str, Renderer]:
    """Pictures by name: the keys of a dictionary, else what their representations call themselves. ValueError where two share a name."""
    if isinstance(renderers, Renderer):
        renderers = [renderers]
    if isinstance(renderers, Mapping):
        looks = dict(renderers)
    else:
        renderers = list(renderers)
        looks = {getattr(renderer, "slug", None): renderer for renderer in renderers}
        if len(looks) < len(renderers):
            raise ValueError(
                f"{len(renderers)} renderers have only {count(len(looks), 'name')} ({examples(looks)}); name them: "
                "renderers={'short': Renderer(...), 'long': Renderer(...)}"
            )
    for renderer in looks.values():
        if not isinstance(renderer, Renderer):
            raise ValueError(f"renderers: {renderer!r} is no Renderer; give values such as Renderer(Mel())")
    return {str(name): renderer for name, renderer in looks.items()}


def make_systems(archs: str | Iterable[str], renderers) -> list[System]:
    """Every network on every picture, named "resnet18, mel"."""
    archs = [archs] if isinstance(archs, str) else list(archs)
    return [
        System(f"{arch}, {name}", arch, renderer) for name, renderer in name_looks(renderers).items() for arch in archs
    ]


def complete(system: System, recipe: Recipe, loaders: dict | None, learner: dict | None) -> System:
    """A system with all that it shares with the others. Options of timm's heads and weights do not concern networks of our own."""
    common = {name: value for name, value in (learner or {}).items() if not (is_own(system.arch) and name in _TIMMS)}
    loaders = {**(loaders or {}), **system.loaders}
    return system.replace(recipe=system.recipe or recipe, loaders=loaders, learner={**common, **system.learner})


def check_names(systems: Sequence[System]) -> None:
    """ValueError where systems share a name, or names differ only in what a folder's name cannot say."""
    folders = [system.folder.casefold() for system in systems]  # some disks know no capitals
    double = [system.name for system, folder in zip(systems, folders) if folders.count(folder) > 1 or not folder]
    if double:
        raise ValueError(
            f"names that are no names of different folders ({examples(map(repr, double))}); "
            "give each system a name of its own"
        )


def common_seed(systems: Sequence[System]) -> int:
    """The seed by which folds are dealt. ValueError where systems have different ones."""
    seeds = {system.recipe.seed or 0 for system in systems}
    if len(seeds) > 1:
        raise ValueError(
            f"the systems' recipes have different seeds ({examples(sorted(seeds))}), by which folds are dealt: they would be "
            "compared on different folds; give all recipes the same"
        )
    return seeds.pop()
