"""The page without a browser: what it holds, budgets, links, and what becomes of unusual input."""

import base64
import html.parser
import io
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
from miniatures.predicted import LOOK, make_predictions, probabilities, write_sounds
from PIL import Image

from specimg import (
    Audio,
    BestLabels,
    Competition,
    Recipe,
    SpecDataLoaders,
    WaveDataLoaders,
    blend,
    cross_validate,
    fit,
    read_audio,
    report,
    review_sheet,
    save_classifier,
    spec_learner,
)
from specimg.cli import main
from specimg.interpret import SpecInterpretation
from specimg.reports.charts import draw_charts
from specimg.reports.page_source import read_subject
from specimg.reports.write import as_json
from specimg.training import Predictions

QUIET = {"progress": False}


class Scripts(html.parser.HTMLParser):
    """The scripts of a page by their id, as a browser would find them, and every tag."""

    def __init__(self, text):
        super().__init__()
        self.found, self.tags, self.inside = {}, [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.inside = dict(attrs).get("id", "code") if tag == "script" else None

    def handle_data(self, data):
        if self.inside:
            self.found[self.inside] = self.found.get(self.inside, "") + data

    def handle_endtag(self, tag):
        self.inside = None


def open_page(path):
    """What the page holds: `page`, the JSON; `media(kind)`, one entry a clip; `charts`, the texts of each."""
    text = Path(path).read_text(encoding="ascii", errors="surrogateescape")
    scripts = Scripts(text)
    page = json.loads(scripts.found["page"])

    def media(kind):
        parts = [None] * page["clips"]["n"]
        for name, text in scripts.found.items():
            if name.startswith(f"{kind}-"):
                first = int(name.split("-")[1]) * page["chunk"]
                for k, part in enumerate(json.loads(text)):
                    parts[first + k] = part
        return [None if part is None else base64.b64decode(part) for part in parts]

    kept = re.findall(r'<template id="chart-([\w-]+)">(.*?)</template>', text, re.S)
    charts = {name: " ".join(ElementTree.fromstring(svg).itertext()) for name, svg in kept}
    return SimpleNamespace(page=page, clips=page["clips"], media=media, tags=scripts.tags, charts=charts)


@pytest.fixture(scope="module")
def predicted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("predicted")
    return SimpleNamespace(folder=folder, predictions=make_predictions(folder), audio=folder / "audio")


@pytest.fixture(scope="module")
def made(predicted):
    """The page of 24 clips with all there is."""
    return open_page(report(predicted.predictions, predicted.folder / "page" / "report.html", **QUIET))


def changed(p, **columns):
    return Predictions(p.table.assign(**columns), p.probs, p.vocab, p.embeddings, p.is_multi)


# ---------------------------------------------------------------------- JSON


def test_markup_in_json_is_text():
    text = as_json({"</script><b>&": "\u2028\udcff"})
    assert not set("<>&\u2028") & set(text) and json.loads(text) == {"</script><b>&": "\u2028\udcff"}


# ---------------------------------------------------------------------- a whole page


def test_the_page_lists_every_clip(made, predicted):
    p, clips = predicted.predictions.table.set_index("path"), made.clips
    assert clips["n"] == 24 and sorted(clips["path"]) == sorted(p.index)
    assert clips["loss"] == sorted(clips["loss"], reverse=True)
    for path, actual, guess, right in zip(clips["path"], clips["target"], clips["guess"], clips["right"]):
        assert (made.page["vocab"][actual], made.page["vocab"][guess], bool(right)) == tuple(
            p.loc[path, ["target", "prediction", "right"]]
        )
    of = [int(p.loc[path, "group"] == "bob") for path in clips["path"]]
    assert made.page["groups"] == [{"name": "group", "values": ["ann", "bob"], "of": of}]


def test_every_sound_is_the_span_that_was_drawn(made, predicted):
    for i, data in enumerate(made.media("sounds")):
        drawn, sr = read_audio(predicted.audio / made.clips["path"][i], LOOK.audio)
        assert sf.info(io.BytesIO(data)).duration == made.clips["seconds"][i] == len(drawn) / sr
        assert made.clips["begin"][i] == 0 and made.clips["sound"][i] == 1
        assert (
            abs(made.clips["edge"][i] - made.clips["seconds"][i]) <= 64 / 8000 / 2 + 1e-4
        )  # picture and sound agree to the hop
    assert "24 of 24 sounds embedded, as the pictures show them (Ogg Opus, about 32 kbit/s" in made.page["media"]


def test_every_picture_is_there_and_has_axes(made):
    assert all(Image.open(io.BytesIO(data)).format == "WEBP" for data in made.media("pictures"))
    assert made.clips["axes"] == [0] * 24 and made.page["axes"][0]["unit"] == "Hz"


def test_tables_of_the_page_are_those_of_the_interpretation(made, predicted):
    report_, interp = made.page["report"], SpecInterpretation(predicted.predictions)
    assert [(r["label"], r["support"]) for r in report_] == [("cat", 8), ("dog", 8), ("owl", 8)]
    assert report_[0]["recall"] == 0.75 == interp.classification_report().loc["cat", "recall"]
    ann, bob = made.page["breakdown"][0]["rows"]
    assert (ann["value"], ann["clips"], ann["rate"]) == ("ann", 12, 1.0)
    assert (bob["value"], bob["clips"], bob["rate"]) == ("bob", 12, 0.5)  # every fourth clip is bob's
    ends = {"low": pytest.approx(0.551, abs=1e-3), "high": pytest.approx(0.880, abs=1e-3)}
    assert made.page["scores"][0] == {"name": "accuracy", "value": 0.75, **ends, "clips": 24}
    assert len(made.page["map"]["x"]) == 24 and made.page["map"]["on"] == "embeddings"


def test_charts_are_those_of_the_interpretation(made, predicted):
    assert list(made.charts) == ["classes", "groups-0", "calibration", "probabilities"]
    assert "calibration of 24 clips expected calibration error" in made.charts["calibration"]
    assert "correct (18) wrong (6)" in made.charts["probabilities"]
    assert "macro F1 0.750" in made.charts["classes"] and "accuracy by group" in made.charts["groups-0"]
    again = draw_charts(SpecInterpretation(predicted.predictions), None, ["group"])
    text = (predicted.folder / "page" / "report.html").read_text()
    assert all(f'<template id="chart-{name}">{svg}</template>' in text for name, svg in again.items())  # same bytes
    texts = [node for svg in again.values() for node in ElementTree.fromstring(svg).iter("text")]
    assert {node.get("font-size") for node in texts} == {"9px", "7.497px"}
    assert not re.search(r"style=|<style|<script|url\((?!#)|xmlns|#[0-9a-f]{6}", "".join(again.values()))


def test_nothing_in_the_page_reaches_out(made, predicted):
    text = (predicted.folder / "page" / "report.html").read_text()
    assert "default-src 'none'" in text and not re.search(r"(src|href)=[\"']?(https?:)?//", text)
    assert made.tags.count("link") == 1 and "innerHTML" not in text


def test_beyond_the_budget_sounds_are_linked(predicted):
    page = open_page(report(predicted.predictions, predicted.folder / "page" / "small.html", budget_mb=0.06, **QUIET))
    sounds = page.clips["sound"]
    embedded, linked = (
        [i for i, s in enumerate(sounds) if s == 1],
        [i for i, s in enumerate(sounds) if isinstance(s, str)],
    )
    assert embedded and linked and len(embedded) + len(linked) == 24 and min(embedded) == 0
    assert (
        f"{len(embedded)} of 24 sounds embedded" in page.page["media"] and f"{len(linked)} linked" in page.page["media"]
    )
    for i in linked:
        file, times = sounds[i].split("#t=")
        assert (predicted.folder / "page" / file).resolve() == (predicted.audio / page.clips["path"][i]).resolve()
        assert float(times.split(",")[0]) == 0 and float(times.split(",")[1]) == pytest.approx(
            page.clips["edge"][i], abs=1e-3
        )
    size = sum(len(m) for kind in ("sounds", "pictures") for m in page.media(kind) if m) * 4 / 3
    assert size <= 0.06e6


def test_without_a_budget_everything_is_linked(predicted):
    page = open_page(report(predicted.predictions, predicted.folder / "page" / "none.html", budget_mb=0, **QUIET))
    assert all(s.startswith("../audio/clip") for s in page.clips["sound"]) and all(
        p.startswith("../cache/") for p in page.clips["picture"]
    )


# ---------------------------------------------------------------------- bad input


def test_markup_in_labels_names_and_title_is_text(tmp_path, predicted):
    bad = "<script>alert(1)</script>"
    p = predicted.predictions
    table = p.table.assign(
        target=p.table["target"].replace("cat", bad),
        group=["<b>a</b>\x00\udcff", "</style>"] * 12,
        path=p.table["path"].replace("clip000.wav", f"{bad[:-9]}.wav"),
    )
    page = open_page(report(Predictions(table, p.probs, [bad, "dog", "owl"]), tmp_path / "r.html", title=bad, **QUIET))
    assert page.page["vocab"][0] == page.page["title"] == bad and "b" not in page.tags
    assert bad in page.charts["classes"] and "<b>a</b>\ufffd\ufffd" in page.charts["groups-0"]
    assert (
        page.tags.count("style") == 1
        and "alert(1)" not in (tmp_path / "r.html").read_text().split("<body>")[1].split("<script type")[0]
    )


def test_missing_recordings_and_pictures_are_reported(tmp_path):
    p = make_predictions(tmp_path, n=8)
    (tmp_path / "audio" / "clip000.wav").unlink()
    (tmp_path / "audio" / "clip001.wav").write_bytes(b"no sound")
    Path(p.table["picture"][0]).unlink()
    Path(p.table["picture"][2]).unlink()
    page = open_page(report(p, tmp_path / "r.html", **QUIET))
    row = {path: i for i, path in enumerate(page.clips["path"])}
    gone, broken, again = (row[f"clip00{k}.wav"] for k in range(3))
    assert page.clips["picture"][gone] is None and page.clips["sound"][gone] is None
    assert (
        page.page["reasons"][page.clips["why"][gone]]
        == "The recording is not where it was; name its folder with audio=."
    )
    assert page.clips["picture"][broken] == 1
    assert page.page["reasons"][page.clips["why"][broken]].startswith("The recording cannot be read: ")
    assert page.clips["picture"][again] == 1 and page.clips["axes"][again] == page.clips["axes"][broken]
    assert (
        "2 without sound" in page.page["media"]
        and "1 missing" in page.page["media"]
        and "1 drawn again" in page.page["media"]
    )


def test_recordings_that_moved_are_named_by_audio(tmp_path):
    p = make_predictions(tmp_path, n=8)
    shutil.move(tmp_path / "audio", tmp_path / "elsewhere")
    page = open_page(report(p, tmp_path / "r.html", **QUIET))
    assert page.clips["sound"] == [None] * 8 and page.clips["picture"] == [1] * 8
    page = open_page(report(p, tmp_path / "r.html", audio=tmp_path / "elsewhere", **QUIET))
    assert page.clips["sound"] == [1] * 8


def test_nan_losses_and_probabilities(tmp_path, predicted):
    p = predicted.predictions
    probs = p.probs.copy()
    probs[[3, 7]] = np.nan
    table = p.table.assign(loss=np.where(np.arange(24) < 8, np.nan, p.table["loss"]))
    page = open_page(report(Predictions(table, probs, p.vocab, p.embeddings), tmp_path / "r.html", **QUIET))
    assert page.clips["loss"][:8] == [None] * 8 and None not in page.clips["loss"][8:]
    assert page.clips["guess"].count(None) == 2 and any(
        "returned NaN for 2 clips" in note for note in page.page["notes"]
    )
    probs[:] = np.nan
    page = open_page(
        report(Predictions(p.table, probs, p.vocab, np.full((24, 4), np.nan)), tmp_path / "all.html", **QUIET)
    )
    assert (
        "hold NaN or inf" in page.page["map"]["why"]
        and list(page.charts) == ["classes", "groups-0"]
        and "NaN" in page.page["review"]["why"]
    )


def test_one_class(tmp_path):
    names = write_sounds(tmp_path / "audio", 5, 1)
    table = pd.DataFrame({"path": [str(tmp_path / "audio" / name) for name in names], "target": "dog", "loss": 0.0})
    p = Predictions(table, np.ones((5, 1)), ["dog"])
    page = open_page(report(p, tmp_path / "r.html", **QUIET))
    assert (
        page.page["report"][0]["f1"] == 1
        and "there is no other" in page.page["review"]["why"]
        and page.clips["sound"] == [1] * 5
    )


def test_three_hundred_classes_with_long_names(tmp_path):
    vocab = [f"class number {k} " + "with a very long name " * 6 for k in range(300)]
    actual = np.arange(330) % 300
    probs = probabilities(actual, (actual + (np.arange(330) % 7 == 0)) % 300, 300)
    facts = {
        "path": [f"{k}.wav" for k in range(330)],
        "target": [vocab[k] for k in actual],
        "loss": -np.log(probs[np.arange(330), actual]),
    }
    file = report(Predictions(pd.DataFrame(facts), probs, vocab), tmp_path / "r.html", **QUIET)
    page = open_page(file)
    assert len(page.page["report"]) == 300 == len(page.page["order"]) and file.stat().st_size < 1e6
    assert page.page["reasons"] == ["The folder of the recordings is not known; name it with audio=."]


def test_several_labels_a_clip(tmp_path, predicted):
    p = predicted.predictions
    targets = [[p.vocab[k % 3]] + (["owl"] if k % 3 == 0 and k % 2 else []) for k in range(24)]
    multi = Predictions(
        p.table.assign(target=pd.Series(targets, dtype=object)), p.probs, p.vocab, p.embeddings, is_multi=True
    )
    page = open_page(report(multi, tmp_path / "r.html", **QUIET))
    assert page.page["multi"] and page.page["order"] is None
    assert all(isinstance(cell, list) for cell in page.clips["target"] + page.clips["guess"])
    assert {s["name"] for s in page.page["scores"]} == {"exact match", "LRAP"} and len(page.page["report"]) == 3
    assert all(isinstance(row["label"], list) for row in page.page["review"]["rows"])


def test_clips_without_targets(tmp_path, predicted):
    p = predicted.predictions
    page = open_page(report(changed(p, target=None, loss=np.nan), tmp_path / "r.html", **QUIET))
    assert page.clips["right"] == page.clips["target"] == [None] * 24 and page.page["review"] is None
    assert (
        page.page["report"] == page.page["breakdown"] == page.page["scores"] == [] and len(page.page["map"]["x"]) == 24
    )
    assert page.clips["confidence"] == sorted(page.clips["confidence"])


def test_what_no_page_can_be_made_of(tmp_path, predicted):
    with pytest.raises(ValueError, match="cannot be made of dict"):
        report({}, tmp_path / "r.html")
    wrong = [
        ({"cam": -1}, "0 or more clips"),
        ({"budget_mb": -1}, "megabytes"),
        ({"kbits": 1}, "6 to 256 kbit/s"),
        ({"audio": "no"}, "is not a folder"),
    ]
    for options, words in wrong:
        with pytest.raises(ValueError, match=words):
            report(predicted.predictions, tmp_path / "r.html", **options)
    with pytest.raises(ValueError, match="is a folder; name the file"):
        report(predicted.predictions, tmp_path)


# ---------------------------------------------------------------------- label review


def test_a_review_sheet_holds_the_doubtful_clips_only(tmp_path):
    p = make_predictions(tmp_path, n=80)
    page = open_page(review_sheet(p, tmp_path / "r.html", **QUIET))
    review = page.page["review"]
    assert page.page["kind"] == "review" and page.clips["n"] == len(review["rows"]) == 50 and review["labelled"] == 80
    assert review["issues"] == 20
    wrong = [row for row in review["rows"] if row["issue"]]
    assert len(wrong) == 20
    assert all(
        row["suggestion"] != row["label"] == page.page["vocab"][page.clips["target"][row["clip"]]] for row in wrong
    )
    assert len([s for s in page.media("sounds") if s]) == 50


# ---------------------------------------------------------------------- learners and runs


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """A learner that learnt nothing, of 24 clips."""
    folder = tmp_path_factory.mktemp("learned")
    names = write_sounds(folder / "audio", 24, 3)
    table = pd.DataFrame(
        {"path": names, "label": ["cat", "dog", "owl"] * 8, "is_valid": [k % 2 == 0 for k in range(24)]}
    )
    dls = SpecDataLoaders.from_df(
        table,
        folder / "audio",
        valid_col="is_valid",
        renderer=LOOK,
        cache=folder / "cache",
        bs=4,
        size=32,
        method="pad",
        seconds=0.3,
        n_jobs=1,
        progress=False,
    )
    return SimpleNamespace(folder=folder, learn=spec_learner(dls, "mini_resnet", seed=0))


def test_a_learner_is_evaluated_and_has_class_maps(learned):
    page = open_page(report(learned.learn, learned.folder / "r.html", cam=3, **QUIET))
    facts = {name: dict(rows) for name, rows in page.page["facts"]}
    assert (
        facts["Network"]["network"] == "mini_resnet"
        and facts["Data"]["training clips"] == "12"
        and len(facts["Data"]["digest"]) == 16
    )
    assert facts["Picture"]["representation"].startswith("mel: n_mels 32")
    assert "32 x 32 pixels, pad of 0.3 s" in facts["Picture"]["network input"]
    assert [cam is not None for cam in page.clips["cam"]] == [True] * 3 + [False] * 9
    assert [len(c) for c in page.media("cams")[:3]] == [12 * 24] * 3
    assert "of 3 clips, not of the other 9" in page.page["media"]
    assert (
        max(page.clips["seconds"]) <= 0.3 + 64 / 8000 and max(page.clips["edge"]) <= 0.3 + 64 / 8000
    )  # cut, as the network has them


def test_nothing_held_out_is_reported(learned, tmp_path):
    table = learned.learn.dls.clips[["path", "label"]].assign(is_valid=False)
    dls = SpecDataLoaders.from_tree(learned.learn.dls.tree, table, bs=4, size=32)
    page = open_page(report(spec_learner(dls, "mini_resnet", seed=0), tmp_path / "r.html", **QUIET))
    assert page.clips["n"] == 0 and page.page["review"] is None
    note = "The validation set is empty: there are no clips to show. Hold some out with valid_pct, valid_col or fold."
    assert page.page["notes"] == [note]
    sheet = open_page(review_sheet(spec_learner(dls, "mini_resnet", seed=0), tmp_path / "v.html", **QUIET))
    assert sheet.page["review"] == {"why": "there are no clips."}


def test_a_learner_trained_elsewhere(tmp_path):
    from fastai.vision.all import CategoryBlock, DataBlock, ImageBlock, Learner
    from torch import nn

    for k in range(12):
        (tmp_path / "pictures").mkdir(exist_ok=True)
        Image.new("RGB", (16, 16), (20 * k, 0, 0)).save(tmp_path / "pictures" / f"{'ab'[k % 2]}{k}.png")
    block = DataBlock(
        (ImageBlock, CategoryBlock),
        get_items=lambda folder: sorted(Path(folder).glob("*.png")),
        get_y=lambda file: file.name[0],
    )
    dls = block.dataloaders(tmp_path / "pictures", bs=4, num_workers=0)
    learn = Learner(dls, nn.Sequential(nn.Flatten(), nn.Linear(768, 2)))
    page = open_page(report(learn, tmp_path / "r.html", **QUIET))
    assert page.clips["n"] == 2 and page.clips["picture"] == [1, 1] and page.clips["left"] == [None, None]
    assert any("How the pictures were drawn is not known" in note for note in page.page["notes"])
    assert "There are no class maps" in page.page["media"]


def test_a_network_of_waveforms_has_sound_and_pictures(tmp_path):
    names = write_sounds(tmp_path / "audio", 12, 2)
    table = pd.DataFrame({"path": names, "label": ["cat", "dog"] * 6, "is_valid": [k > 5 for k in range(12)]})
    dls = WaveDataLoaders.from_df(
        table, tmp_path / "audio", valid_col="is_valid", audio=Audio(sr=8000, duration=1.0), bs=4
    )
    learn = spec_learner(dls, "soundnet_cnn", seed=0)
    page = open_page(report(learn, tmp_path / "r.html", **QUIET))
    assert page.clips["sound"] == [1] * 6 and page.clips["picture"] == [1] * 6 and page.clips["seconds"] == [1.0] * 6
    assert (
        any("input is the waveform" in note for note in page.page["notes"])
        and "files are missing" not in page.page["media"]
    )
    with learn.no_bar():
        SpecInterpretation.from_learner(learn).predictions.save(tmp_path / "p.npz")
    alone = open_page(report(tmp_path / "p.npz", tmp_path / "p.html", audio=tmp_path / "audio", **QUIET))
    assert alone.clips["sound"] == [1] * 6 and alone.clips["picture"] == [None] * 6
    alone = open_page(report(tmp_path / "p.npz", tmp_path / "q.html", **QUIET))  # the file may be anybody's
    assert alone.clips["sound"] == [None] * 6 and "name it with audio=" in alone.page["reasons"][0]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    names = write_sounds(folder / "audio", 24, 2)
    table = pd.DataFrame({"path": names, "label": ["cat", "dog"] * 12, "group": [f"g{k % 6}" for k in range(24)]})
    comp = Competition("two-sounds", folder / "audio", train=table, metric="accuracy", format=BestLabels(k=1))
    return cross_validate(
        comp,
        LOOK,
        "mini_resnet",
        Recipe(epochs=1, freeze_epochs=0, lr=0.01),
        folds=2,
        out=folder / "run",
        log=None,
        learner=dict(pretrained=False),
        loaders=dict(bs=4, size=32, cache=str(folder / "cache"), n_jobs=1, progress=False),
    )


def test_a_page_of_a_run(run, tmp_path):
    page = open_page(report(run, tmp_path / "r.html", cam=4, **QUIET))
    facts = {name: dict(rows) for name, rows in page.page["facts"]}
    assert (
        page.clips["n"] == 24
        and page.clips["sound"] == [1] * 24
        and len(page.page["networks"]) == 2
        and "mean of 2 trainings" in page.charts["curves"]
    )
    assert (
        page.page["scores"][0]["value"] == pytest.approx(float(run.score))
        and page.page["scores"][0]["name"] == "accuracy"
    )
    assert facts["Data"]["digest"] == run.task.digest and "torch" in facts["Versions"]["when trained"]
    assert "epochs 1, lr 0.01" in facts["Training"]["recipe"]
    assert sum(cam is not None for cam in page.clips["cam"]) == 4
    assert {g["name"] for g in page.page["groups"]} == {"group", "fold"} and page.page["map"]["on"] == "probabilities"


def test_a_run_that_travelled_without_its_recordings(run, tmp_path, monkeypatch):
    subject = read_subject(run)
    assert subject.folder.name == "audio"
    page = open_page(report(run, tmp_path / "r.html", cam=0, audio=subject.folder, **QUIET))
    assert page.clips["sound"] == [1] * 24 and "There are no class maps." in page.page["media"]


def test_an_interpretation_of_a_run_knows_the_run(run, tmp_path):
    whole = open_page(report(run, tmp_path / "a.html", cam=4, **QUIET)).page
    for source in (SpecInterpretation.from_run(run), run.folder):
        page = open_page(report(source, tmp_path / "r.html", cam=4, **QUIET)).page
        assert {**page, "made": ""} == {**whole, "made": ""}
    one = open_page(report(SpecInterpretation.from_run(run, fold=1), tmp_path / "f.html", cam=4, **QUIET))
    n = len(one.page["clips"]["path"])
    assert one.page["notes"] == [f"The page shows {n} of the run's 24 clips, as one of its networks predicts them."]
    own = run.scores.set_index("fold").loc[1]
    assert one.page["scores"][0]["value"] == pytest.approx(own["score"]) and one.page["map"]["on"] == "embeddings"
    assert sum(cam is not None for cam in one.clips["cam"]) == 4
    assert "learning curves" in one.charts["curves"] and "mean of" not in one.charts["curves"]
    assert dict(dict(one.page["facts"])["Network"])["network"] == "mini_resnet"


def test_why_there_are_no_class_maps(learned, tmp_path):
    interp = SpecInterpretation.from_learner(learned.learn)
    p = interp.predictions
    gone = SpecInterpretation(Predictions(p.table.assign(picture="gone.png"), p.probs, p.vocab), learn=learned.learn)
    page = open_page(report(gone, tmp_path / "r.html", **QUIET)).page
    assert "12 drawn again" in page["media"] and "There are no class maps: the pictures are missing" in page["media"]
    alone = open_page(report(p, tmp_path / "alone.html", **QUIET)).page
    assert "There are no class maps: there is no network." in alone["media"]


def test_a_blend_has_losses(run, tmp_path):
    both = blend([run, run], weights=[0.5, 0.5], way="mean")
    page = open_page(report(both, tmp_path / "r.html", **QUIET))
    own = run.predictions.table.set_index("path")
    p = pd.Series((run.predictions.probs * run.predictions.hot).sum(axis=1), own.index)
    assert page.clips["loss"] == pytest.approx([-np.log(p[path]) for path in page.clips["path"]], abs=1e-3)
    assert "mean of 2 runs" in str(page.page["facts"])


# ---------------------------------------------------------------------- folders


@pytest.fixture(scope="module")
def trained(learned):
    """What `specimg train` leaves: the training folder, the classifier and the predictions."""
    folder = learned.folder / "trained"
    learn = spec_learner(learned.learn.dls, "mini_resnet", seed=0, path=folder)
    with learn.no_bar(), learn.no_logging():
        fit(learn, Recipe(epochs=2, freeze_epochs=0, lr=0.001), out=folder / "run")
        SpecInterpretation.from_learner(learn).predictions.save(folder / "predictions.npz")
    save_classifier(learn, folder / "classifier")
    return folder


def test_a_training_folder_with_what_lies_beside_it(trained, tmp_path):
    page = open_page(report(trained, tmp_path / "a.html", cam=2, **QUIET))
    facts = {name: dict(rows) for name, rows in page.page["facts"]}
    assert facts["Network"]["network"] == "mini_resnet" and facts["Data"]["training clips"] == "12"
    assert "epochs 2, lr 0.001" in facts["Training"]["recipe"] and facts["Training"]["epochs"] == "2"
    assert "32 x 32 pixels, pad of 0.3 s" in facts["Picture"]["network input"] and "torch" in str(facts["Versions"])
    assert page.clips["n"] == 12 and page.clips["sound"] == [1] * 12 and "learning curves" in page.charts["curves"]
    assert sum(cam is not None for cam in page.clips["cam"]) == 2 and page.page["notes"] == []
    below = open_page(report(trained / "run", tmp_path / "b.html", cam=2, **QUIET))
    assert {**below.page, "made": ""} == {**page.page, "made": ""}


@pytest.mark.parametrize("name", ["training.json", "run.json"])
def test_an_unfinished_training_alone_has_curves_and_no_clips(trained, tmp_path, name):
    alone = shutil.copytree(trained / "run", tmp_path / "alone")
    (alone / "predictions.npz").unlink()
    (alone / "training.json").rename(alone / name)
    page = open_page(report(alone, tmp_path / "r.html", **QUIET))
    assert page.clips["n"] == 0 and list(page.charts) == ["curves"] and page.page["vocab"] == ["cat", "dog", "owl"]
    assert any("holds no predictions" in note and "load_training" in note for note in page.page["notes"])
    assert dict(dict(page.page["facts"])["Network"])["network"] == "mini_resnet"


def test_a_training_folder_alone_has_its_validation_clips_and_class_maps(trained, tmp_path):
    alone = shutil.copytree(trained / "run", tmp_path / "alone")
    page = open_page(report(alone, tmp_path / "r.html", cam=2, **QUIET))
    assert page.clips["n"] == 12 and page.clips["sound"] == [1] * 12 and page.page["notes"] == []
    assert sum(cam is not None for cam in page.clips["cam"]) == 2
    interp = SpecInterpretation.from_run(alone)
    of_interp = open_page(report(interp, tmp_path / "i.html", cam=2, **QUIET))
    assert of_interp.clips["path"] == page.clips["path"] and of_interp.clips["cam"] == page.clips["cam"]


def test_a_classifier_that_cannot_be_read_is_reported(trained, tmp_path):
    broken = shutil.copytree(trained, tmp_path / "broken")
    shutil.rmtree(broken / "classifier")
    (broken / "classifier").mkdir()
    page = open_page(report(broken, tmp_path / "r.html", **QUIET))
    assert page.clips["picture"] == [1] * 12
    assert any("classifier beside it cannot be read" in note for note in page.page["notes"])


def test_a_folder_that_is_neither_names_what_is_missing(trained, tmp_path):
    with pytest.raises(ValueError, match=r"there is no folder or file '.*/none'"):
        report(tmp_path / "none", tmp_path / "r.html")
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "notes.txt").touch()
    message = (
        r"neither a run \(there is no run.toml.*nor a training folder \(there are no recipe.toml and training.json"
    )
    with pytest.raises(ValueError, match=message + r".*it holds notes.txt$"):
        report(tmp_path / "x", tmp_path / "r.html")
    shutil.copytree(trained / "run", tmp_path / "x" / "run")
    with pytest.raises(ValueError, match="it holds notes.txt, run; did you mean '.*x/run'"):
        report(tmp_path / "x", tmp_path / "r.html")


# ---------------------------------------------------------------------- the command line


def test_pages_from_the_command_line(predicted, tmp_path, capsys):
    predicted.predictions.save(tmp_path / "p.npz")
    assert (
        main(["report", str(tmp_path / "p.npz"), "--out", str(tmp_path / "r.html"), "--title", "Owls", "--cam", "0"])
        == 0
    )
    assert (
        "MB; open it in a browser" in capsys.readouterr().out and open_page(tmp_path / "r.html").page["title"] == "Owls"
    )
    assert main(["review", str(tmp_path / "p.npz"), "--out", str(tmp_path / "v.html")]) == 0
    assert open_page(tmp_path / "v.html").page["kind"] == "review"
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "r.html")]) == 1
    assert "it is neither a run" in capsys.readouterr().err
