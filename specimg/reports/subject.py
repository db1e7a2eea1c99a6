"""What a page is about: the clips that were evaluated, how they were drawn, and facts about data, network and training.

    subject = Subject(predictions)
    subject.add_facts("Network", network="resnet34", parameters="21.3 million")
    subject.add_score("accuracy", 0.91, 0.88, 0.93, clips=400)

What is not known is left out, and `notes` state what follows from that.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from fastai.vision.all import Learner

from ..core.values import Value
from ..interpret import SpecInterpretation
from ..labels.tables import clip_spans
from ..render.renderer import Renderer
from ..training import Predictions

if TYPE_CHECKING:
    from ..inference import Classifier


@dataclass(eq=False)
class Subject:
    """What a page is about.

    Parameters
    ----------
    predictions : Predictions
        The clips, which may be none.
    interp : SpecInterpretation, optional
        None if there are no clips.
    history : DataFrame, optional
        One row per epoch; of several networks with the columns seed and fold.
    renderer : Renderer, optional
        How pictures were drawn.
    folder : Path, optional
        Folder of the recordings.
    pictures : Path, optional
        Folder of the pictures, if they are those of a tree.
    is_read : bool, default False
        Whether the predictions were read from a file. Their paths may then be anybody's: pictures outside `pictures` and recordings outside
        `folder` are not embedded, lest the page of a run from elsewhere takes along what it only guessed to be there.
    seconds : float, optional
        Length of a clip that the network is given, where longer ones are cut.
    network : Learner or Classifier, optional
        The network that predicted all clips, for Grad-CAM.
    scores : list of dict
        name, value, low, high, clips.
    networks : list of dict
        Score of each network of a run.
    facts : dict of str to dict
        Section -> name -> text.
    notes : list of str
        Sentences about what is missing or unusual.
    """

    predictions: Predictions
    interp: SpecInterpretation | None = None
    history: pd.DataFrame | None = None
    renderer: Renderer | None = None
    folder: Path | None = None
    pictures: Path | None = None
    is_read: bool = False
    seconds: float | None = None
    network: Learner | Classifier | None = None
    scores: list[dict] = field(default_factory=list)
    networks: list[dict] = field(default_factory=list)
    facts: dict[str, dict[str, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add_facts(self, section: str, **facts) -> None:
        """Add what is known to a section; None and "" are not."""
        known = {name.replace("_", " "): str(fact) for name, fact in facts.items() if fact is not None and fact != ""}
        self.facts.setdefault(section, {}).update(known)

    def add_score(
        self, name: str, value: float, low: float = math.nan, high: float = math.nan, *, clips: int = 0
    ) -> None:
        """Add a score, with its interval if known."""
        row = {"name": name, "value": float(value), "low": float(low), "high": float(high), "clips": int(clips)}
        self.scores.append(row)


def in_words(part: object) -> str:
    """A value, a dictionary or a list as people read it.

    >>> from specimg.reports.subject import in_words
    >>> in_words({"size": [64, 96], "bs": 8, "augment": None})
    'size 64 x 96, bs 8'
    """
    if isinstance(part, Value):
        fields = {name: value for name, value in part.to_dict().items() if name != "kind"}
        return f"{part.kind}: {in_words(fields)}" if fields else part.kind
    if isinstance(part, dict):
        kind = [str(part["kind"])] if "kind" in part else []
        rest = [
            f"{name} {in_words(value)}"
            for name, value in part.items()
            if name != "kind" and value not in (None, (), [], {}, False)
        ]
        return ", ".join(kind + rest) or "default"
    if isinstance(part, (list, tuple)):
        is_size = len(part) == 2 and all(isinstance(p, int) for p in part)
        return (" x " if is_size else "; ").join(map(in_words, part))
    return f"{part:.6g}" if isinstance(part, float) else str(part)


def without_kind(value: Value) -> str:
    """The fields of a value in words, without its kind."""
    return in_words({name: part for name, part in value.to_dict().items() if name != "kind"})


def data_digest(clips: pd.DataFrame) -> str:
    """16 hexadecimal digits that identify the clips, their labels and their split, in any order."""
    names = [name for name in ("label", "is_valid") if name in clips]
    cells = [
        [str(sorted(cell) if isinstance(cell, (list, tuple)) else cell) for cell in row]
        for row in clips[names].to_numpy(object)
    ]
    rows = sorted(json.dumps([key, row]) for key, row in zip(clip_spans(clips), cells))
    return hashlib.blake2b(json.dumps(rows).encode(), digest_size=8).hexdigest()
