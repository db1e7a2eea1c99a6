"""What a comparison compares: a candidate is a network, a picture, and how it is trained where that differs.

>>> make_candidates(["resnet18", "mini_resnet"], {"mel": Renderer()})[1].name
'mini_resnet, mel'
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
from .config import RunConfig

_TIMMS = ("weights", "ps", "lin_ftrs", "concat_pool")  # options of `spec_learner` that our own networks refuse


@register
@dataclass(frozen=True)
class Candidate(Value):
    """A network, a picture, and how it is trained where that differs from the rest of a comparison.

    Parameters
    ----------
    name : str
        How tables call it; its run lies in a folder of that name.
    arch : str
        Name of a network: timm's, or one of `list_nets()`.
    renderer : Renderer, default Renderer()
        How recordings are drawn.
    recipe : Recipe, optional
        None: the comparison's.
    loaders : dict
        Arguments of `SpecDataLoaders.from_df`, over the comparison's.
    learner : dict
        Arguments of `spec_learner`, over the comparison's.

    Examples
    --------
    >>> from specimg.experiments import Candidate
    >>> Candidate("large pictures", "resnet18", loaders={"size": 224})
    Candidate(name='large pictures', arch='resnet18', loaders={'size': 224})
    """

    name: str
    arch: str
    renderer: Renderer = Renderer()
    recipe: Recipe | None = None
    loaders: dict = field(default_factory=dict)
    learner: dict = field(default_factory=dict)

    def _check(self) -> None:
        config = RunConfig(renderer=self.renderer, arch=self.arch, loaders=self.loaders, learner=self.learner)
        object.__setattr__(self, "loaders", config.loaders)
        object.__setattr__(self, "learner", config.learner)

    @property
    def folder(self) -> str:
        """The name as the name of a folder."""
        return re.sub(r"[^\w.+=]+", "-", self.name).strip("-.")

    def configure(self, common: RunConfig) -> RunConfig:
        """The configuration of its run.

        Parameters
        ----------
        common : RunConfig
            What all candidates share. Options of timm's weights and heads are left out for networks of our own, which refuse them.

        Returns
        -------
        RunConfig
        """
        learner = {k: v for k, v in common.learner.items() if not (is_own(self.arch) and k in _TIMMS)}
        return common.replace(
            arch=self.arch,
            renderer=self.renderer,
            recipe=self.recipe or common.recipe,
            loaders={**common.loaders, **self.loaders},
            learner={**learner, **self.learner},
        )


def name_renderers(renderers: Renderer | Mapping[str, Renderer] | Iterable[Renderer]) -> dict[str, Renderer]:
    """Renderers by name: the keys of a dictionary, else their slugs. ValueError if two share a name, or one is not a Renderer."""
    if isinstance(renderers, Renderer):
        renderers = [renderers]
    if isinstance(renderers, Mapping):
        named = dict(renderers)
    else:
        renderers = list(renderers)
        named = {getattr(renderer, "slug", None): renderer for renderer in renderers}
        if len(named) < len(renderers):
            raise ValueError(
                f"{len(renderers)} renderers have only {count(len(named), 'name')} ({examples(named)}); name them: "
                "renderers={'short': Renderer(...), 'long': Renderer(...)}"
            )
    for renderer in named.values():
        if not isinstance(renderer, Renderer):
            raise ValueError(f"renderers: {renderer!r} is not a Renderer; give values such as Renderer(Mel())")
    return {str(name): renderer for name, renderer in named.items()}


def make_candidates(
    archs: str | Iterable[str], renderers: Renderer | Mapping[str, Renderer] | Iterable[Renderer]
) -> list[Candidate]:
    """Every network with every picture, named "resnet18, mel"."""
    archs = [archs] if isinstance(archs, str) else list(archs)
    return [
        Candidate(f"{arch}, {name}", arch, renderer)
        for name, renderer in name_renderers(renderers).items()
        for arch in archs
    ]


def check_names(candidates: Sequence[Candidate]) -> None:
    """ValueError if two candidates would share a folder."""
    folders = [candidate.folder.casefold() for candidate in candidates]  # some disks ignore case
    double = [c.name for c, folder in zip(candidates, folders) if folders.count(folder) > 1 or not folder]
    if double:
        raise ValueError(
            f"names that are not names of different folders ({examples(map(repr, double))}); "
            "give each candidate a name of its own"
        )
