"""A linear probe: against scikit-learn by hand, on looks of which one is blind to what matters, and who learns from whom."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
import torch

from specimg.audio.variants import Roll
from specimg.competitions import BestLabels, ClassColumns, Competition
from specimg.experiments import LinearProbe, linear_probe, paired_difference, probe as probing
from specimg.experiments.probe import fit_and_predict
from specimg.models.networks import create_spec_net
from specimg.render.renderer import Renderer
from specimg.spectrogram import Mel, Stft
from specimg.spectrogram.picture import Picture

torch.set_num_threads(1)

SR = 8000
HZ = {"high": 3000, "low": 300, "mid": 1000}
MEL = Renderer(Mel(n_mels=32, n_fft=256, hop_length=64))
BLIND = Renderer(Mel(n_mels=32, n_fft=256, hop_length=64, fmin=3400, fmax=4000))  # above all pitches
LOADERS = {"size": 32, "n_jobs": 1, "progress": False, "num_workers": 0}


def write_sounds(folder) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(36):
        hz, rng = HZ[sorted(HZ)[i % 3]], np.random.default_rng(i)
        tone = 0.3 * np.sin(2 * np.pi * hz * np.arange(int(0.4 * SR)) / SR)
        sf.write(folder / f"{i:02}.wav", tone + 0.02 * rng.standard_normal(len(tone)), SR)


def table(n=36, **columns) -> pd.DataFrame:
    rows = {"path": [f"{i:02}.wav" for i in range(n)], "label": [sorted(HZ)[i % 3] for i in range(n)]}
    return pd.DataFrame(rows).assign(**columns)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    home = tmp_path_factory.mktemp("pröbe")
    write_sounds(home / "töne")
    return home / "töne"


@pytest.fixture(scope="session")
def comp(folder) -> Competition:
    return Competition("three-pitches", folder, table(group=[f"speaker {i // 3}" for i in range(36)]))


def go(comp, renderers=MEL, arch="test_resnet", log=None, **changes) -> LinearProbe:
    loaders = {**LOADERS, "cache": str(comp.folder.parent / "cache"), **changes.pop("loaders", {})}
    options = {"pretrained": False, "folds": 3, **changes}
    return linear_probe(comp, renderers, arch, loaders=loaders, log=(log if log is not None else []).append, **options)


@pytest.fixture(scope="session")
def found(comp):
    """(probe of a look that shows the pitches and of one that does not, its log)."""
    log = []
    return go(comp, {"mel": MEL, "blind": BLIND}, log=log), log


# ---------------------------------------------------------------------- the linear model, by hand


def data(seed=0, n=60, features=5):
    rng = np.random.default_rng(seed)
    hot = np.eye(3, dtype=bool)[rng.integers(3, size=n)]
    x = rng.standard_normal((n, features)) * [1, 10, 100, 0.1, 1] + [0, 5, 1000, 0, 0]
    x = x + hot @ rng.standard_normal((3, features))
    x[:, 4] = 7  # a feature that is the same in all clips
    return x, hot


def test_one_label_is_multinomial_regression_on_standardised_features():
    from sklearn.linear_model import LogisticRegression

    x, hot = data()
    mean, std = x[:40].mean(axis=0), x[:40].std(axis=0)
    std[4] = 1
    model = LogisticRegression(C=0.5, max_iter=1000).fit((x[:40] - mean) / std, hot[:40].argmax(axis=1))
    probs = fit_and_predict(x[:40], hot[:40], None, x[40:], False, 0.5)
    assert probs == pytest.approx(model.predict_proba((x[40:] - mean) / std), abs=1e-6)
    weighted = fit_and_predict(x[:40], hot[:40], np.r_[np.ones(20), np.zeros(20)], x[40:], False, 0.5)
    assert not np.allclose(weighted, probs)


def test_a_label_that_training_lacks_gets_nothing():
    x, hot = data()
    train = hot[:40, :2].any(axis=1)
    probs = fit_and_predict(x[:40][train], hot[:40][train], None, x[40:], False, 1.0)
    assert (probs[:, 2] == 0).all() and probs.sum(axis=1) == pytest.approx(1)
    only = fit_and_predict(x[:40][hot[:40, 1]], hot[:40][hot[:40, 1]], None, x[40:], False, 1.0)
    assert (only == [0, 1, 0]).all()


def test_several_labels_are_a_question_each():
    from sklearn.linear_model import LogisticRegression

    x, _ = data()
    hot = np.c_[x[:, 0] > 0, np.ones(60, bool), np.zeros(60, bool), x[:, 1] > 5]
    mean, std = x[:40].mean(axis=0), np.where(x[:40].std(axis=0) == 0, 1, x[:40].std(axis=0))
    probs = fit_and_predict(x[:40], hot[:40], None, x[40:], True, 1.0)
    for label in (0, 3):
        alone = LogisticRegression(C=1.0, max_iter=1000).fit((x[:40] - mean) / std, hot[:40, label])
        assert probs[:, label] == pytest.approx(alone.predict_proba((x[40:] - mean) / std)[:, 1], abs=1e-6)
    assert (probs[:, 1] == 1).all() and (probs[:, 2] == 0).all(), "what all training clips have, and what none has"


# ---------------------------------------------------------------------- the probe


def test_the_look_that_shows_the_pitch_wins(found, comp):
    probe, log = found
    rows = probe.table.set_index("picture")
    assert list(rows.index) == ["mel", "blind"] and len(probe) == 2
    assert rows.loc["mel", "score"] == 1 and rows.loc["blind", "score"] < 0.7
    assert (
        rows.loc["blind", "verdict"] == "worse"
        and rows.loc["mel", "verdict"] == ""
        and np.isnan(rows.loc["mel", "difference"])
    )
    difference = paired_difference(probe.results["blind"], probe.results["mel"])
    assert tuple(rows.loc["blind", ["difference", "difference_low", "difference_high"]]) == difference[:3]
    assert (rows["clips"] == 36).all() and (rows["ms_picture"] > 0).all() and (rows["seconds"] > 0).all()
    assert [re.match(r"(\d) of 2, (\w+): accuracy", line).groups() for line in log] == [("1", "mel"), ("2", "blind")]


def test_every_clip_is_judged_once_by_a_model_of_other_speakers(found, comp):
    result = found[0].results["mel"]
    oof = result.oof
    assert sorted(oof["path"]) == sorted(comp.train["path"]) and set(oof["fold"]) == {0, 1, 2}
    assert oof.groupby("group")["fold"].nunique().max() == 1
    own = [(oof["prediction"] == oof["label"])[oof["fold"] == fold].mean() for fold in range(3)]
    assert found[0].table["std"][0] == pytest.approx(np.std(own, ddof=1))
    blind = found[0].results["blind"].oof
    own = [(blind["prediction"] == blind["label"])[blind["fold"] == fold].mean() for fold in range(3)]
    assert found[0].table["std"][1] == pytest.approx(np.std(own, ddof=1)) and np.std(own) > 0


def test_embeddings_are_what_the_body_gives(found, comp):
    """Worked out anew from the recordings: the body of a network of this seed, in evaluation mode, averaged over its map."""
    from fastai.vision.all import set_seed

    from specimg.data.images import FitSize, SpecImage
    from specimg.models.networks import Normalise

    predictions = found[0].results["mel"].predictions
    set_seed(0)
    net = create_spec_net("test_resnet", 1, 3, (32, 32), ps=0.2).eval()
    net[0][0] = Normalise([0.5], [0.5])  # the network's own statistics
    fit = FitSize((32, 32))
    x = torch.stack(
        [
            fit(SpecImage.create(MEL.png(comp.folder / path)), split_idx=1).as_subclass(torch.Tensor).float() / 255
            for path in predictions.table["path"][:5]
        ]
    )
    with torch.no_grad():
        expected = net[0](x).mean((2, 3)).numpy()
    assert predictions.embeddings.shape == (36, expected.shape[1]) and predictions.embeddings[:5] == pytest.approx(
        expected, abs=1e-4
    )


def test_what_is_printed_says_that_the_weights_are_random(found):
    lines = str(found[0]).splitlines()
    assert lines[0] == "LinearProbe(2 pictures through test_resnet, by accuracy)" == repr(found[0])
    head = ["picture", "accuracy (95 %)", "std of folds", "ms per picture", "seconds", "difference (95 %)", "verdict"]
    assert re.split(r"\s{2,}", lines[1]) == head
    assert lines[2].startswith("mel") and lines[3].startswith("blind") and lines[3].endswith("worse")
    assert (
        lines[4]
        == "frozen network: test_resnet from scratch (random weights: the order of the pictures is a weak hint)"
    )
    assert lines[5] == "difference: to mel, on the same clips; above 0 is better"
    assert found[0]._repr_html_().count("<tr") == 3 and "random weights" in found[0]._repr_html_()


def test_pretrained_weights_are_found_and_told(comp, tmp_path):
    import timm
    from safetensors.torch import save_file

    torch.manual_seed(5)
    save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "test_resnet.safetensors")
    probe = go(comp, pretrained=True, weights=tmp_path)
    said = str(probe)
    assert (
        f"frozen network: test_resnet from {tmp_path / 'test_resnet.safetensors'} (folder): 90 of 90 tensors match"
        in said
    )
    assert "random weights" not in said and "difference: to" not in said, "one look has nothing to differ from"
    assert probe.table["score"][0] == 1


def test_the_seed_repeats_it(comp, found):
    again = go(comp, MEL)
    assert np.array_equal(again.results["mel32"].predictions.probs, found[0].results["mel"].predictions.probs)
    other = go(comp, MEL, seed=1)
    assert not np.array_equal(
        other.results["mel32"].predictions.embeddings, again.results["mel32"].predictions.embeddings
    )


def test_pictures_go_through_the_network_once_for_all_folds(comp, monkeypatch):
    calls, embed = [], probing._embeddings
    monkeypatch.setattr(
        probing,
        "_embeddings",
        lambda network, files, fit, **options: (
            calls.append((len(files), options["bs"])) or embed(network, files, fit, **options)
        ),
    )
    go(comp, loaders={"bs": 7})
    assert calls == [(36, 7)]


def test_what_is_for_training_alone_plays_no_part(comp, found):
    probe = go(comp, {"mel": MEL}, loaders={"variants": [Roll(0.3)], "balance": True})
    assert np.array_equal(probe.results["mel"].predictions.probs, found[0].results["mel"].predictions.probs)


def test_windows_are_averaged(comp):
    probe = go(comp, {"crop": MEL}, loaders={"method": "crop", "seconds": 0.2, "windows": 3})
    assert probe.results["crop"].predictions.embeddings.shape[0] == 36 and probe.table["score"][0] == 1


def test_our_own_networks_are_never_pretrained(comp):
    probe = go(comp, arch="mini_resnet", pretrained=True)
    assert "mini_resnet from scratch (random weights" in str(probe)
    assert probe.results["mel32"].predictions.embeddings.shape[1] == 64


def test_several_labels_a_clip(folder):
    labels = [["tone", "high"] if i % 3 == 0 else ["tone", "low"] if i % 3 == 1 else ["tone"] for i in range(36)]
    comp = Competition("many", folder, table(label=labels), "macro_auc", ClassColumns())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=FutureWarning)
        probe = go(comp, {"mel": MEL, "colour": MEL.replace(picture=Picture(colormap="magma"))})
    answers = probe.results["mel"].predictions
    assert answers.is_multi and (answers.probs[:, answers.vocab.index("tone")] == 1).all(), "every clip has it"
    assert probe.metric == "macro_auc" and probe.table["score"].min() > 0.9
    assert set(probe.table["features"]) == {answers.embeddings.shape[1]}, "three channels give as many numbers as one"


def test_clips_that_only_train_do_not_count_for_the_score(folder):
    fold = [-1 if i >= 30 else i % 2 for i in range(36)]
    scored, weight = [i >= 6 for i in range(36)], [1.0 if i % 2 else 0.5 for i in range(36)]
    comp = Competition("given", folder, table(fold=fold, scored=scored, weight=weight))
    probe = go(comp, folds=None)
    predictions = probe.results["mel32"].predictions
    assert sorted(predictions.table["path"]) == [f"{i:02}.wav" for i in range(30)] and probe.table["clips"][0] == 24


def test_bad_files_are_said_and_left_out(folder, tmp_path):
    (folder / "bad.wav").write_bytes(b"no sound")
    comp = Competition(
        "bad", folder, pd.concat([table(12), pd.DataFrame({"path": ["bad.wav"], "label": ["low"]})], ignore_index=True)
    )
    with pytest.warns(
        UserWarning, match=r"1 of 13 training clips could not be drawn and are left out \(bad.wav"
    ) as said:
        probe = go(comp)
    assert probe.table["clips"][0] == 12 and len([w for w in said if "could not be drawn" in str(w.message)]) == 1
    assert [w.filename for w in said if "could not be drawn" in str(w.message)] == [__file__]


def test_a_probe_has_no_answers_to_a_test_set(folder, tmp_path):
    test = pd.DataFrame({"id": ["t"], "path": ["00.wav"]})
    probe = go(Competition("tested", folder, table(12), format=BestLabels(), test=test))
    with pytest.raises(ValueError, match="does not predict the test set"):
        probe.results["mel32"].submission(tmp_path / "s.csv")


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"arch": "resnet43"}, "^unknown arch 'resnet43'"),
        ({"C": 0}, "C=0: give a number above 0"),
        ({"C": float("nan")}, "C=nan"),
        ({"pretrained": True}, "^no pretrained weights for test_resnet"),
        ({"loaders": {"sise": 3}}, "unknown option in loaders= 'sise'"),
        ({"learner": {"pss": 3}}, "unknown option in learner= 'pss'"),
        ({"folds": 1}, "folds=1"),
        ({"renderers": {"a": Mel()}}, "is not a Renderer"),
        ({"arch": "mini_resnet", "weights": "x", "pretrained": True}, "x: no such file or folder"),
        (
            {"arch": "test_vit", "renderers": {"odd": MEL}, "loaders": {"size": 40}},
            r"^odd: test_vit does not accept pictures of 40 x 40",
        ),
        ({"arch": "soundnet_cnn"}, r"^mel32: soundnet_cnn takes waveforms"),
    ],
)
def test_what_is_wrong_is_said(comp, tmp_path, monkeypatch, changes, said):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "no-cache"))
    with pytest.raises(ValueError, match=said):
        go(comp, **changes)


def test_numbers_that_are_none_are_refused(comp, monkeypatch):
    from specimg.models.networks import SpecNet

    monkeypatch.setattr(SpecNet, "features", lambda self, x: torch.full((len(x), 3), float("inf")))
    with pytest.raises(
        ValueError, match="mel32: the network gives numbers that are not finite for 36 pictures; use pretrained weights"
    ):
        go(comp)


def test_stft_and_mel_have_names_of_their_own(comp):
    probe = go(comp, [MEL, Renderer(Stft(n_fft=64, hop_length=64))])
    assert list(probe.results) == ["mel32", "stft64"]
