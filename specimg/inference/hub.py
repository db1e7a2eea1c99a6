"""A classifier gets ready for the Hub: checked as one that is loaded, with a card that the Hub understands, and nothing else beside it.

    stage_classifier(Path("dog-or-not"), Path("staged"), "user/dog-or-not", Card(license="cc-by-4.0"))
    push_folder("staged", "user/dog-or-not")

`specimg.push_to_hub` does both, and takes learners, runs and trees too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..core.files import link_or_copy, refuse_links, write_atomic
from ..core.hub import HubAddress, push_folder
from ..core.reading import read_bytes
from ..core.values import Value, register
from ..training.trained import find_training
from .classifier import Classifier
from .folder import CARD, GOLDEN, SETTINGS, facts_of, to_json
from .golden import read_golden
from .load import MOST_OTHER, load_folder, read_classifier_json
from .model_card import hub_card, write_card
from .settings import check_settings

__all__ = ["Card", "push_folder", "stage_classifier"]

OWN = ("classifier.json", "weights*.safetensors", "golden/*")  # patterns of what an earlier push may have left
LIKELY = 5  # labels of a widget that are shown with their probabilities


@register
@dataclass(frozen=True)
class Card(Value):
    """What its page on the Hub says of a classifier, a run or a tree besides what is known of its training.

    Parameters
    ----------
    license : str, optional
        The Hub's word for the licence: "apache-2.0", "cc-by-4.0", "cc-by-nc-4.0" ...
    datasets : tuple of str, default ()
        Data sets of training, as the Hub names them: "user/name".
    widgets : bool, default False
        Let its page play the golden clips, with their probabilities; True says that these recordings may be shared.
    """

    license: str | None = None
    datasets: tuple[str, ...] = ()
    widgets: bool = False


def _widget(folder: Path, vocab: list[str], address: HubAddress) -> list[dict]:
    """The golden clips as the Hub's page offers them."""
    at = f"{HubAddress(address.repo).url}/resolve/{address.revision or 'main'}/{GOLDEN}"
    found = []
    for entry in read_golden(folder):
        likely = sorted(zip(entry.probabilities, vocab), reverse=True)[:LIKELY]
        output = [{"label": label, "score": round(float(p), 4)} for p, label in likely]
        found.append({"src": f"{at}/{entry.clip}", "example_title": entry.label, "output": output})
    return found


def _card_text(folder: Path, clf: Classifier, training: dict) -> str:
    """The card in the folder, with what its owner wrote into it; a new one where there is none."""
    file = folder / CARD
    if file.is_file():
        return read_bytes(file, MOST_OTHER).decode("utf-8", "replace")
    return write_card(clf, training, folder.absolute().name, len(read_golden(folder)))


def stage_classifier(folder: Path, out: Path, address: HubAddress, card: Card) -> Path:
    """Fill `out` with what the Hub gets of the classifier in a folder: its own files alone, by hard links or copies, and the card made for there.

    ValueError if it could not be loaded, or holds a link.
    """
    found = find_training(folder)
    folder = folder if found is None else found.classifier
    refuse_links(folder)
    clf = load_folder(folder)  # every check
    held = read_classifier_json(folder)
    settings = check_settings(held)
    for name in {*settings.weights, *settings.files} - {CARD}:
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        link_or_copy(folder / name, target)
    widget = _widget(folder, clf.vocab, address) if card.widgets else []
    text = hub_card(
        _card_text(folder, clf, settings.training),
        settings.training,
        address.repo,
        license=card.license,
        datasets=card.datasets,
        widget=widget,
    ).encode("utf-8", "replace")
    write_atomic(out / CARD, text)
    if "files" in held:  # the first format lists none
        held = {**held, "files": {**held["files"], CARD: facts_of(text)}}
    write_atomic(out / SETTINGS, to_json(held))
    return out
