"""What was trained or drawn travels to the Hugging Face Hub: classifiers, learners, runs and trees.

    push_to_hub("dog-or-not/", "user/dog-or-not", license="cc-by-4.0")     # "hf://user/dog-or-not@<commit>"
    load_classifier("hf://user/dog-or-not").predict("new/")
    push_to_hub(run, "user/birds-r34"); Run.open("hf://user/birds-r34")
    push_to_hub(tree, "user/birds-mel"); SpecTree.open("hf://user/birds-mel")

Everything is read as strictly as if it came from elsewhere before it goes, and only files that belong to it go: checkpoints, which are pickles, notes
and whatever else lies in its folder stay here.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastai.vision.all import Learner

from ..core.files import files_below, link_or_copy, write_atomic
from ..core.hub import HubAddress, push_folder
from ..core.text import examples
from ..core.warnings import warn
from ..inference import SETTINGS, Classifier, load_classifier, save_classifier
from ..inference.folder import CARD, is_own_file
from ..inference.hub import OWN, Card, stage_classifier
from ..inference.model_card import hub_card
from ..render.tree import SpecTree
from ..training import Predictions, find_training
from ..training.trained import kind_of
from .run import PARTS, POST_PROCESSING, Run

TREE = "renderer.json"  # marks a tree
_OF_WHOLE_RUN = (*PARTS, "score.json", POST_PROCESSING)
_MARKS = (SETTINGS, PARTS[0], TREE)  # what was of another kind in the repository goes
_OF_RUN = re.compile(
    r"seed\d+-fold\d+/(done\.json|(oof|test)\.npz|fit/(recipe\.toml|training\.json|history\.csv)|classifier/(.+))"
)
_OF_TREE = re.compile(r"renderer\.json|manifest\.(db|csv)|images/.+")


# ---------------------------------------------------------------------- what goes


def _stage(folder: Path, out: Path, names: Sequence[str]) -> None:
    for name in names:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        link_or_copy(folder / name, out / name)


def _belongs_to_run(name: str) -> bool:
    found = _OF_RUN.fullmatch(name)
    inner = found[4] if found else None
    return name in _OF_WHOLE_RUN or (found is not None and (inner is None or inner == SETTINGS or is_own_file(inner)))


def _write_card(out: Path, title: str, lines: list[str], training: dict, address: HubAddress, card: Card) -> None:
    text = "\n".join([f"# {title}", "", *lines]) + "\n"
    known = hub_card(text, training, address.repo, license=card.license, datasets=card.datasets)
    write_atomic(out / CARD, known.encode("utf-8", "replace"))


def _code(*lines: str) -> list[str]:
    return ["```python", "import specimg as sp", *lines, "```"]


def _stage_run(run: Run, out: Path, address: HubAddress, card: Card) -> None:
    """The finished networks of a run, with everything that a run is read from."""
    unfinished = run.n_planned - len(run.fold_runs)
    if unfinished:
        raise ValueError(
            f"the run in {str(run.folder)!r} is not finished: {unfinished} of {run.n_planned} networks are to be trained yet; finish it first"
        )
    run.keep_score()
    for fold_run in run.fold_runs:
        load_classifier(fold_run.folder / "classifier")
        if fold_run.predicted_test:
            fold_run.test()
    score = run.score  # which reads the predictions of all
    names = [name for name, _ in files_below(run.folder) if _belongs_to_run(name)]
    _stage(run.folder, out, names)
    entry = {"metric": score.metric, "score": float(score), "clips": score.n, "on": "out of fold"}
    entry |= {"low": score.low, "high": score.high} if score.low == score.low else {}
    training = {"scores": [entry] if score == score else [], "competition": run.task.slug}
    lines = [
        f"The cross-validation of {run.config.arch} on {run.task.slug}, by specimg: {len(run.fold_runs)} networks, {score}.",
        "",
        *_code(f'run = sp.Run.open("hf://{address.repo}")', "run.score, run.oof", "clf = run.classifier()"),
    ]
    _write_card(out, address.repo.rpartition("/")[2], lines, training, address, card)


def _stage_tree(tree: SpecTree, out: Path, address: HubAddress, card: Card) -> None:
    """The pictures of a tree that is intact, its manifest and its renderer."""
    damaged = tree.verify()
    if len(damaged):
        first = f"{damaged['picture'][0]}: {damaged['problem'][0]}"
        raise ValueError(
            f"{len(damaged)} pictures of {str(tree.root)!r} are damaged ({first}); tree.verify(drop=True) and render_tree draw them again"
        )
    _stage(tree.root, out, [name for name, _ in files_below(tree.root) if _OF_TREE.fullmatch(name)])
    lines = [
        f"{len(tree)} spectrograms, drawn by specimg as {tree.renderer.slug}.",
        "",
        *_code(f'tree = sp.SpecTree.open("hf://{address.repo}")', "tree.table"),
    ]
    _write_card(out, address.repo.rpartition("/")[2], lines, {}, address, card)


def _stage_trained(
    what: Learner | Classifier,
    kept: Path,
    out: Path,
    golden: int,
    address: HubAddress,
    card: Card,
    predictions: Predictions | None = None,
) -> None:
    """A learner or a classifier, saved first."""
    stage_classifier(save_classifier(what, kept, golden=golden, predictions=predictions), out, address, card)


def _opened(what: Any) -> Any:
    """A folder as what it holds: a Run, a SpecTree, or where it holds a classifier or a training the folder itself. ValueError for another."""
    if not isinstance(what, (str, os.PathLike)):
        return what
    folder = Path(what)
    kind = kind_of(folder)
    if kind == "run":
        return Run.open(folder)
    if (folder / TREE).is_file():
        return SpecTree.open(folder)
    if kind == "none" and not (folder / SETTINGS).is_file():
        below = sorted(str(found.parent) for mark in _MARKS for found in folder.glob(f"*/{mark}"))
        hint = f"did you mean {below[0]!r}?" if below else "save_classifier(learn, folder) makes a classifier"
        raise ValueError(f"{str(folder)!r} is no classifier, training, run or tree; {hint}")
    return folder


def _prepare(what: Any, place: Path, golden: int, address: HubAddress, card: Card) -> tuple[Path, tuple[str, ...]]:
    """(the folder that goes, made below `place`; patterns of what it replaces in the repository)."""
    what, out, kept = _opened(what), place / "out", place / address.repo.rpartition("/")[2]
    out.mkdir()
    if isinstance(what, Run):
        _stage_run(what, out, address, card)
        return out, (*_OF_WHOLE_RUN, "seed*-fold*/*")
    if isinstance(what, SpecTree):
        _stage_tree(what, out, address, card)
        return out, ("renderer.json", "manifest.*", "images/*")
    if isinstance(what, Path):
        found = find_training(what) if kind_of(what) == "training" else None
        if found is None:
            stage_classifier(what, out, address, card)
        else:  # its weights are in a checkpoint, a pickle
            predictions = None if found.predictions is None else Predictions.load(found.predictions)
            _stage_trained(load_classifier(what), kept, out, golden, address, card, predictions)
    elif isinstance(what, (Learner, Classifier)):
        _stage_trained(what, kept, out, golden, address, card)
    else:
        raise ValueError(
            f"a {type(what).__name__} cannot be pushed; give a learner, a classifier, a run, a tree, or the folder of one"
        )
    return out, OWN


# ---------------------------------------------------------------------- the whole


def push_to_hub(
    what: str | os.PathLike | Learner | Classifier | Run | SpecTree,
    repo: str,
    *,
    private: bool | None = None,
    revision: str | None = None,
    license: str | None = None,
    datasets: str | Sequence[str] = (),
    widgets: bool = False,
    golden: int = 6,
    message: str | None = None,
) -> str:
    """Push a classifier, a learner, a run or a tree to the Hugging Face Hub, without a pickle.

    It is checked first as if it came from elsewhere. Only its own files go; the model card gets what the Hub reads: library, task, tags, licence, data
    sets, and scores with their intervals. `load_classifier("hf://user/name")`, `Run.open` and `SpecTree.open` read it there.

    Parameters
    ----------
    what : str, path, Learner, Classifier, Run or SpecTree
        The folder of a classifier, a training, a finished run or a tree; or such an object.
    repo : str
        "user/name"; it is made if there is none.
    private : bool, optional
        Whether only you may see it; None: of a new one what your account on the Hub is set to, which is public as a rule.
    revision : str, optional
        The branch, which is made if there is none; default the main branch.
    license : str, optional
        The Hub's word for the licence: "apache-2.0", "cc-by-4.0", "cc-by-nc-4.0" ... A warning asks for one where the card has none.
    datasets : str or sequence of str, default ()
        Data sets of training, as the Hub names them: "user/name".
    widgets : bool, default False
        Let its page play the golden clips with their probabilities: these recordings may be shared.
    golden : int, default 6
        Of a learner or a training: as in `save_classifier`, recordings that travel with it; 0 if none may. Those that a classifier's folder holds
        travel with it.
    message : str, optional
        Of the commit.

    Returns
    -------
    str
        Its address with the commit, which `load_classifier` takes: "hf://user/name@<commit>".

    Raises
    ------
    ValueError
        It cannot be read, is not finished, is damaged or holds a link; you may not write there; or the repository is public where private=True
        asks for another.
    ConnectionError
        The Hub is out of reach, or offline mode is on.

    Warns
    -----
    UserWarning
        Of files in the folder that are not the classifier's, and do not go; and where no licence is named.

    Examples
    --------
    >>> sp.push_to_hub(learn, "user/dog-or-not", license="cc-by-4.0")          # doctest: +SKIP
    'hf://user/dog-or-not@2f1c...'
    >>> sp.load_classifier("hf://user/dog-or-not").predict("dog.wav")          # doctest: +SKIP
    """
    address = HubAddress(repo, revision=revision)
    card = Card(license, (datasets,) if isinstance(datasets, str) else tuple(datasets), widgets)
    with tempfile.TemporaryDirectory() as place:
        out, replaces = _prepare(what, Path(place), golden, address, card)
        if license is None and "\nlicense:" not in (out / CARD).read_text(encoding="utf-8").partition("\n---\n")[0]:
            warn(
                'no licence is named, so nobody may use it: push_to_hub(..., license="cc-by-4.0"), or another of the Hub\'s words'
            )
        own = {name for name, _ in files_below(out)}
        if widgets and not any(name.startswith("golden/") for name in own):
            warn(f"there are no golden clips to offer as widgets; {examples(sorted(own))} go")
        return push_folder(
            out, repo, private=private, revision=revision, message=message, replaces=[*replaces, *_MARKS]
        )
