"""The model card: what a classifier takes, how it was trained, how good it is and its limits, for a person to read.

It is plain Markdown beside the weights, README.md, made of what is known; the rest is left out. Add to it what only you can
know: who recorded, under which licence, what it must not be used for. On its way to the Hub it gets the metadata that the Hub reads.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.text import count, printable
from ..training import Predictions
from .calibration import FEW, coverage_curve
from .classifier import Classifier
from .ensemble import Ensemble

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

SHOWN = 60  # labels that are listed
REJECTED = (0.0, 0.5, 0.7, 0.9)  # of `reject_below` in the card


def _plain(text) -> str:
    """Text in one line of Markdown, in a table too: what it would obey is escaped, `&` too, which begins characters by their name."""
    line = printable(" ".join(str(text).split())).replace("&", "&amp;")
    for mark in "\\`*_|<>[]":
        line = line.replace(mark, f"\\{mark}")
    return line


def _in_a_command(name: str) -> str:
    """A folder's name within a command in Markdown."""
    return shlex.quote(name) if name.isprintable() and "`" not in name else "FOLDER"


def _table(head: list[str], rows: list[list]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(map(str, cells))} |" for cells in lines]


# ---------------------------------------------------------------------- parts


def _what(clf: Classifier) -> list[str]:
    audio = clf.audio
    rate = f"resampled to {audio.sr} Hz" if audio.sr else "at their own sampling rate"
    length = f", cut or padded to {audio.duration:g} s" if audio.duration else ""
    drawn = "" if clf.renderer is None else f" drawn as {_plain(clf.renderer.slug)}"
    part = "the whole recording squeezed"
    if clf.input.seconds is not None:
        part = f"{count(clf.input.windows, 'window')} of {clf.input.seconds:.3g} s"
    given = f"the network is given {clf.input.describe()}{drawn}: {part}"
    carries = "may carry several labels" if clf.is_multi else "carries one label"
    lines = [f"Each recording {carries} of {len(clf.vocab)}. Recordings are {rate}{length}, and {given}."]
    if isinstance(clf.model, Ensemble):
        lines.append(f"{len(clf.model)} networks, of whose probabilities the mean is taken.")
    return lines


def _labels(clf: Classifier, training: dict) -> list[str]:
    counts = training.get("clips_of_label") or {}
    head = ["label", "clips of training"] if counts else ["label"]
    fitted = clf.is_multi and clf.calibration.thresholds
    head += ["threshold"] * bool(fitted)
    columns = [list(map(_plain, clf.vocab[:SHOWN]))]
    columns += [[counts.get(label, 0) for label in clf.vocab]] if counts else []
    columns += [[f"{threshold:.3g}" for threshold in clf.calibration.thresholds]] if fitted else []
    rows = list(zip(*columns))  # as many as are shown
    more = [f"and {len(clf.vocab) - SHOWN} more, in classifier.json"] if len(clf.vocab) > SHOWN else []
    return [*_table(head, rows), *([""] + more if more else [])]


_OF_TRAINING = "network weights_from networks folds clips held_out epochs competition data saved".split()
_IN_WORDS = {
    "weights_from": "weights before training", "held_out": "clips held out", "competition": "data", "data": "digest of the data"
}  # fmt: skip


def _training(training: dict) -> list[str]:
    known = [name for name in _OF_TRAINING if training.get(name) not in (None, "")]
    lines = [f"- {_IN_WORDS.get(name, name)}: {_plain(training[name])}" for name in known]
    recipe = training.get("recipe")
    if recipe:
        parts = [f"{name} {_plain(value)}" for name, value in recipe.items() if name != "kind" and value is not None]
        lines.append(f"- recipe: {', '.join(parts)}")
    return lines or ["Unknown."]


def _scores(training: dict) -> list[str]:
    rows = []
    for score in training.get("scores") or []:
        between = f"{score['low']:.4f} to {score['high']:.4f}" if score.get("low") is not None else "unknown"
        rows.append([_plain(score["metric"]), f"{score['score']:.4f}", between, score["clips"], _plain(score["on"])])
    head = ["metric", "score", "95 % interval", "clips", "which"]
    return _table(head, rows) if rows else ["None was computed when it was saved."]


def _windows(clf: Classifier) -> dict[str, list[str]]:
    """The part on post-processing; none where nothing was chosen."""
    chosen = clf.post_processing
    if not chosen.steps:
        return {}
    steps = ", then ".join(f"`{step.kind}`" for step in chosen.steps)
    text = f"`predict_windows` changes the probabilities of each recording's windows by {steps}, chosen out of fold on {chosen.clips} windows. "
    return {
        "Long recordings": [
            text
            + "What comes out ranks windows and is not calibrated; `post_processing=PostProcessing()` leaves it out."
        ]
    }


def _calibration(clf: Classifier, predictions: Predictions | None) -> list[str]:
    c = clf.calibration
    if not c.clips:
        return ["Not fitted: the probabilities are the network's own, and networks are overconfident as a rule."]
    lines = [
        f"Temperature {c.temperature:.3g}, fitted on {c.clips} clips ({_plain(c.source)})"
        + (f"; negative log-likelihood {c.nll[0]:.4g} before, {c.nll[1]:.4g} after." if c.nll else ".")
    ]
    if isinstance(clf.model, Ensemble):
        lines.append(
            "It was fitted on the predictions of single networks. Their mean is less confident than each of them, so this classifier may well "
            "be right more often than its probabilities."
        )
    if clf.is_multi:
        lines.append(
            f"A label is predicted above its threshold, of the best F1; labels of fewer than {FEW} clips share one."
        )
    if predictions is not None and not clf.is_multi:
        curve = coverage_curve(predictions, c.temperature, REJECTED)
        rows = [
            [f"{row.threshold:g}", f"{row.coverage:.1%}", "" if np.isnan(row.accuracy) else f"{row.accuracy:.1%}"]
            for row in curve.itertuples()
        ]
        lines += ["", *_table(["reject\\_below", "clips with a label", "of these right"], rows)]
    return lines


def _limits(clf: Classifier, golden: int) -> list[str]:
    lines = [
        "It knows these labels only: anything else is given one of them, often with confidence. "
        "`reject_below` of `predict` labels it 'unknown' instead if the largest probability is low.",
        "The scores hold for recordings like those of training: other microphones, locations, speakers or background noise may lower them.",
        "The probabilities are for the mixture of labels that it was trained on; if some are much rarer or commoner, they are not.",
    ]
    if clf.audio.sr is None:
        lines.append(
            "Recordings are drawn at their own sampling rate: one of another rate than those of training looks different."
        )
    if golden:
        lines.append(
            f"`golden/` holds {golden} recording{'s' * (golden > 1)} of the clips that were held out. Their licence and content are "
            "distributed with this folder."
        )
    return [f"- {line}" for line in lines]


def write_card(
    clf: Classifier, training: dict, name: str, golden: int = 0, predictions: Predictions | None = None
) -> str:
    """The card as Markdown.

    name : of the folder; golden : how many golden clips it keeps
    predictions : what it was calibrated on
    """
    use = [
        "```python",
        "import specimg as sp",
        f"clf = sp.load_classifier({name!r})",
        'table = clf.predict(["a.wav", "b.ogg"])   # or a folder',
        'table[["path", "label", "probability", "status"]]',
        "```",
    ]
    again = "draws the golden clips again and reports whether newer libraries change pixels or predictions."
    check = ["", f"`specimg check {_in_a_command(name)}` {again}"] if golden else []
    versions = clf.about.get("versions") or {}
    parts = {
        "Input": [*_what(clf), "", *_labels(clf, training)],
        "How to use it": [*use, *check],
        "Scores": _scores(training),
        "Calibration": _calibration(clf, predictions),
        **_windows(clf),
        "Training": _training(training),
        "Limits": _limits(clf, golden),
        "Made with": [
            ", ".join(f"{package} {_plain(number)}" for package, number in versions.items()) or "versions not known"
        ],
    }
    lines = [f"# {_plain(name)}", "", "A classifier of sounds, trained and saved with specimg."]
    for title, body in parts.items():
        lines += ["", f"## {title}", "", *body]
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------------- for the Hub

TASK = "audio-classification"
TAGS = ("audio", "spectrogram", "fastai", "timm")


def _results(training: dict, datasets: Sequence[str]) -> Iterator[EvalResult]:
    """Scores as the Hub lists them, with their intervals in words and as numbers."""
    from huggingface_hub import EvalResult

    data = next(iter(datasets), training.get("competition") or "own recordings")
    for score in training.get("scores") or []:
        low, high, clips = score.get("low"), score.get("high"), score["clips"]
        between = "" if low is None else f", 95 % interval {low:.4f} to {high:.4f}"
        yield EvalResult(
            task_type=TASK,
            dataset_type=data,
            dataset_name=data,
            dataset_split=str(score["on"]),
            metric_type=str(score["metric"]),
            metric_value=float(score["score"]),
            metric_name=f"{score['metric']} ({score['on']}{between}, {count(clips, 'clip')})",
            metric_args=None if low is None else {"low": low, "high": high, "level": 0.95, "clips": clips},
        )


def hub_card(
    card: str,
    training: dict,
    repo: str,
    *,
    license: str | None = None,
    datasets: Sequence[str] = (),
    widget: Sequence[dict[str, Any]] = (),
) -> str:
    """A card with the metadata that the Hub reads, and with its name there; what somebody wrote into either stays.

    training : what is known of the training, its scores among it
    widget : the clips that its page offers, as the Hub describes them
    """
    from huggingface_hub import ModelCardData, RepoCard

    found = RepoCard(card if card.startswith("---") else f"---\n{{}}\n---\n\n{card}")
    written, results = found.data.to_dict(), list(_results(training, datasets))
    known = ModelCardData(
        license=license,
        library_name="specimg",
        pipeline_tag=TASK,
        tags=["specimg", *TAGS],
        datasets=list(datasets) or None,
        model_name=repo.rpartition("/")[2] if results else None,
        eval_results=results or None,
        widget=list(widget) or None,
    ).to_dict()
    asked = {name for name, given in (("license", license), ("datasets", datasets), ("widget", widget)) if given}
    kept = {name: entry for name, entry in written.items() if name not in asked}
    tags = list(dict.fromkeys([*known["tags"], *written.get("tags", [])]))
    found.data = found.card_data_class(**{**known, **kept, "tags": tags})
    address = f"hf://{repo}"
    own = re.sub(r"(load_classifier\()(['\"]).*?\2\)", lambda call: f"{call[1]}{address!r})", found.text)
    found.text = re.sub(r"(?<=`specimg check )[^`]+", address, own)
    return str(found)
