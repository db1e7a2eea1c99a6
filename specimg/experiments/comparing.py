"""Compare networks and pictures: several candidates are cross-validated on the same folds of the same data.

    found = compare(comp, ["resnet18", "mini_resnet"], {"mel": Renderer(Mel()), "stft": Renderer(Stft())}, Recipe(epochs=8),
                    out="runs/compare", baseline="resnet18, mel", loaders=dict(size=64))
    print(found)                  # score, spread, parameters, seconds per epoch, differences to the baseline
    found.plot_curves()

Each candidate is a run of its own in a folder of its own, so that a comparison continues where it was stopped, more candidates may be added
later, and `Comparison.open(folder)` reads what is finished.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import torch

from ..competitions import Competition
from ..core.files import unlinked, write_atomic
from ..core.progress import line_logger
from ..core.text import count, examples, printable_cells
from ..core.values import choose
from ..data.tta import TTA
from ..models.networks import check_arch, check_weights
from ..render.renderer import Renderer
from ..training import Recipe
from ..training.identity import differences
from .candidates import Candidate, check_names, make_candidates
from .comparison import RECORD, Comparison, read_record, run_in, write_record
from .config import RunConfig
from .cross_validation import run_cross_validation
from .drawing import milliseconds_per_picture


def _fold_seed(configs: Iterable[RunConfig]) -> int:
    """The seed by which folds are assigned. ValueError if configurations have different ones."""
    seeds = {config.first_seed for config in configs}
    if len(seeds) > 1:
        raise ValueError(
            f"the candidates' recipes have different seeds ({examples(sorted(seeds))}), by which folds are assigned: they would be "
            "compared on different folds; give all recipes the same"
        )
    return seeds.pop()


def _check_networks(folder: Path, candidates: Sequence[Candidate], configs: Sequence[RunConfig]) -> None:
    """ValueError with the candidate's name for an unknown network or missing weights, before anything is drawn."""
    for candidate, config in zip(candidates, configs):
        try:
            check_arch(config.arch)
            run = run_in(unlinked(folder, candidate.folder))
            if run is None or len(run.fold_runs) < run.n_planned:
                check_weights(config.arch, config.learner.get("pretrained", True), config.learner.get("weights"))
        except ValueError as exc:
            raise ValueError(f"{candidate.name}: {exc}") from exc


def _read_or_new(folder: Path, facts: dict) -> dict:
    """The record in the folder, or a new one. ValueError for a comparison on other data or folds, and for other files."""
    if not (folder / RECORD).is_file():
        there = sorted(os.listdir(folder)) if folder.is_dir() else []
        if there:
            raise ValueError(
                f"{str(folder)!r} holds {examples(there, 5)}, and no comparison; choose a new or an empty folder as out="
            )
        return {"facts": facts, "baseline": None, "systems": []}
    about = read_record(folder)
    different = differences(about["facts"], facts)
    if different:
        raise ValueError(
            f"{str(folder)!r} holds a comparison on other data or folds: {different}; choose a new folder as out="
        )
    return about


def _add(comp: Competition, folder: Path, facts: dict, candidates: Sequence[Candidate], baseline: str | None) -> None:
    """Record candidates that are not there yet, with the time that their pictures take, and the baseline."""
    about = _read_or_new(folder, facts)
    known = {entry["name"]: entry for entry in about["systems"]}
    new = {candidate.name for candidate in candidates}
    check_names([*candidates, *(Candidate(name, "") for name in known if name not in new)])
    names = list(dict.fromkeys([*known, *(candidate.name for candidate in candidates)]))
    about["baseline"] = choose(baseline or about["baseline"] or names[0], names, "candidate as baseline=")
    timed: dict[str, float | None] = {}
    for candidate in candidates:
        if candidate.name not in known:
            key = candidate.renderer.key
            if key not in timed:
                timed[key] = milliseconds_per_picture(comp, candidate.renderer)
            known[candidate.name] = {"name": candidate.name, "folder": candidate.folder, "ms_picture": timed[key]}
    write_record(folder, {**about, "systems": list(known.values())})


def _note_failure(folder: Path, name: str, reason: str | None) -> None:
    about = read_record(folder)
    entries = [{**entry, "failed": reason} if entry["name"] == name else entry for entry in about["systems"]]
    write_record(folder, {**about, "systems": entries})


def _finish(folder: Path) -> Comparison:
    """Keep the differences and the table in files, and open the comparison."""
    Comparison(folder).keep_differences()
    found = Comparison(folder)
    write_atomic(
        folder / "comparison.csv", printable_cells(found.table).to_csv(index=False).encode("utf-8", "surrogatepass")
    )
    return found


def compare(
    comp: Competition,
    archs: str | Iterable[str] = (),
    renderers: Renderer | Mapping[str, Renderer] | Iterable[Renderer] = Renderer(),
    recipe: Recipe = Recipe(),
    *,
    out: str | os.PathLike,
    candidates: Sequence[Candidate] = (),
    baseline: str | None = None,
    folds: int | None = None,
    seeds: int = 1,
    loaders: dict | None = None,
    learner: dict | None = None,
    trust: str = "sampling",
    tta: TTA = TTA(),
    only: Sequence[int] | None = None,
    log: Callable[[str], None] | None = print,
) -> Comparison:
    """Cross-validate every network with every picture on the same folds, and put them side by side.

    The test set is not predicted; `cross_validate` with a candidate's own arguments, and its folder as `out`, does so later.

    Parameters
    ----------
    comp : Competition
        Data, labels and metric.
    archs : str or iterable of str
        Names of networks: timm's, and those of `list_nets()` that take pictures.
    renderers : Renderer, mapping of str to Renderer, or iterable of Renderer, default Renderer()
        A candidate is named after network and picture: "resnet18, mel".
    recipe : Recipe, default Recipe()
        How each network is trained.
    out : str or path-like
        Folder of the comparison. The same call continues where it was stopped; another one adds its candidates.
    candidates : sequence of Candidate
        Further ones, with loaders, learner or recipe of their own.
    baseline : str, optional
        Name of the candidate that the others are compared with; default the earlier one, else the first.
    folds : int, optional
        Number of folds; None: those of the data set, else 5.
    seeds : int, default 1
        Networks per fold.
    loaders : dict, optional
        As in `cross_validate`.
    learner : dict, optional
        As in `cross_validate`; `weights`, `ps`, `lin_ftrs` and `concat_pool` apply to timm's networks only.
    trust : {"sampling", "loss", "ignore"}, default "sampling"
        As in `cross_validate`.
    tta : TTA, default TTA()
        As in `cross_validate`.
    only : sequence of int, optional
        Numbers of the folds to train now.
    log : callable or None, default print
        Takes each line of the log; None is silent.

    Returns
    -------
    Comparison
        With a `table`, learning curves, and the `Run` of each candidate.

    Raises
    ------
    ValueError
        Names, options or weights are wrong, or the folder holds something else: before anything is trained. Or candidates failed in
        training (a loss that diverges, pictures that do not fit, too little memory): after all others were trained.

    Examples
    --------
    >>> renderer = sp.Renderer(sp.Mel(n_mels=32, n_fft=256, hop_length=64))
    >>> found = sp.compare(comp, ["mini_resnet", "feature_mlp"], renderer, sp.Recipe(epochs=1, lr=0.01), out="runs/compare", folds=2,
    ...                    loaders=dict(bs=4, progress=False, cache="cache"), learner=dict(pretrained=False), log=None)
    >>> found.table["candidate"].sort_values().tolist()
    ['feature_mlp, mel32', 'mini_resnet, mel32']
    """
    common = RunConfig(
        recipe=recipe, folds=folds, seeds=seeds, trust=trust, tta=tta, loaders=loaders or {}, learner=learner or {}
    )
    candidates = [*make_candidates(archs, renderers), *candidates]
    if not candidates:
        raise ValueError("nothing to compare: give archs=, such as ['resnet18', 'mini_resnet'], or candidates=")
    configs = [candidate.configure(common) for candidate in candidates]
    folder, log, failed = Path(out).absolute(), line_logger(log), {}
    facts = {"slug": comp.slug, "data": comp.digest, "metric": comp.metric, "folds": folds, "seeds": seeds}
    facts["fold_seed"] = _fold_seed(configs)
    _check_networks(folder, candidates, configs)
    _add(comp, folder, facts, candidates, baseline)
    for i, (candidate, config) in enumerate(zip(candidates, configs), start=1):
        log(f"--- {i} of {len(candidates)}: {candidate.name}")
        try:
            run_cross_validation(comp, config, folder / candidate.folder, test=False, only=only, log=log)
        except (ValueError, torch.cuda.OutOfMemoryError) as exc:
            log(f"{candidate.name} failed: {exc}")
            failed[candidate.name] = exc.with_traceback(None)  # whose frames would keep the network in memory
        reason = failed.get(candidate.name)
        _note_failure(folder, candidate.name, None if reason is None else str(reason))
    found = _finish(folder)
    log(str(found))
    if failed:
        reasons = "; ".join(f"{name}: {problem}" for name, problem in failed.items())
        raise ValueError(
            f"{len(failed)} of {count(len(candidates), 'candidate')} failed ({reasons}); the others are kept, "
            f"Comparison.open({str(folder)!r}) reads them"
        ) from next(iter(failed.values()))
    return found
