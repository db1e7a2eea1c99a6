"""Boxes on long recordings become labelled windows: worked by hand, counted, kept together, and trained on."""

import warnings

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

import specimg as sp
from specimg.labels import add_folds, label_windows, split_valid

SR = 8000
OWL, FOX = 1500, 300  # Hz


@pytest.fixture
def recordings(tmp_path):
    """recordings(a=10.0, b=3.5) writes silent files of so many seconds and returns their folder."""

    def make(**seconds):
        for name, length in seconds.items():
            sf.write(tmp_path / f"{name}.wav", np.zeros(round(length * SR), "float32"), SR)
        return tmp_path

    return make


def boxes(*rows, path="a.wav"):
    return pd.DataFrame([(path, *row) for row in rows], columns=["path", "start", "end", "label"])


def quietly(*args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return label_windows(*args, **{"log": None} | kwargs)


def labels(table):
    return {(path, start): label for path, start, label in zip(table["path"], table["start"], table["label"])}


def test_windows_carry_the_labels_that_are_heard_in_them(recordings):
    """Of ten seconds: an owl from 0.9 to 4.1 (0.1 s in the first and the last second), a fox from 3.5 to 3.7, a click at 7."""
    annotations = boxes((0.9, 4.1, "owl"), (3.5, 3.7, "fox"), (7.0, 7.0, "click"))
    table = quietly(annotations, recordings(a=10), 1.0, negatives=None)
    assert table.columns.tolist() == ["path", "start", "end", "label", "group"]
    assert table["label"].tolist() == [[], ["owl"], ["owl"], ["fox", "owl"], [], [], [], ["click"], [], []]
    assert (table["end"] - table["start"]).tolist() == [1.0] * 10 and set(table["group"]) == {"a.wav"}
    kept = quietly(annotations, recordings(a=10), 1.0)  # 0 and 4 hold a bit of the owl: neither owl nor silence
    assert not {0.0, 4.0} & set(kept["start"])
    assert kept["label"].map(len).tolist().count(0) == 4 and len(kept) == 8


@pytest.mark.parametrize(
    "kwargs, heard",
    [
        ({}, [1.0, 2.0]),  # 0.4 s and 0.6 s of it
        (dict(min_overlap=0.5), [2.0]),
        (dict(min_overlap=0.7, min_share=0.7), []),
        (dict(min_overlap=0.7, min_share=0.3), [1.0, 2.0]),
    ],
)
def test_seconds_or_a_share_of_an_annotation_are_enough(recordings, kwargs, heard):
    annotations = boxes((1.6, 2.6, "owl"), (8.0, 9.0, "fox"))
    call = lambda: label_windows(annotations, recordings(a=10), 1.0, log=None, **kwargs)
    if heard:
        table = call()
    else:
        with pytest.warns(UserWarning, match=r"1 of 2 annotations label no window.* \(the first in 'a.wav' at 1.6 s\)"):
            table = call()
    assert [start for (_, start), label in labels(table).items() if label == ["owl"]] == heard


def test_every_short_call_labels_a_window_by_default(recordings):
    starts = np.random.default_rng(0).uniform(0, 59.5, 300)
    lengths = np.random.default_rng(1).uniform(0.001, 0.5, 300)
    annotations = boxes(*[(s, s + n, f"call{i}") for i, (s, n) in enumerate(zip(starts, lengths))])
    for overlap in (0.0, 0.5):
        table = quietly(annotations, recordings(a=60), 1.0, overlap)
        assert len({label for several in table["label"] for label in several}) == 300


def test_the_same_as_window_by_window(recordings):
    rng = np.random.default_rng(3)
    start = rng.uniform(0, 58, 200)
    annotations = boxes(*zip(start, start + rng.exponential(2, 200), rng.choice(list("abc"), 200)))
    annotations["end"] = annotations["end"].clip(upper=60)
    table = quietly(annotations, recordings(a=60), 3.0, 2.0, negatives=None, min_overlap=0.7, min_share=0.6)
    for a, b, label in zip(table["start"], table["end"], table["label"]):
        shared = np.minimum(b, annotations["end"]) - np.maximum(a, annotations["start"])
        hit = (shared > 0) & ((shared >= 0.7) | (shared >= 0.6 * (annotations["end"] - annotations["start"])))
        assert label == sorted(set(annotations["label"][hit]))


def test_the_share_of_windows_without_a_label_is_chosen_and_said(recordings):
    folder, annotations, said = recordings(a=100, b=20), boxes((10, 14, "owl")), []
    table = label_windows(annotations, folder, 1.0, negatives=0.75, log=said.append)
    assert [len(label) for label in table["label"]].count(0) == 12 and len(table) == 16
    assert said == [
        "4 windows with a label, 12 without (75 %), of 2 recordings, 1 of them without annotations; "
        "left out 104 more without a label"
    ]
    again = label_windows(annotations, folder, 1.0, negatives=0.75, log=None)
    other = label_windows(annotations, folder, 1.0, negatives=0.75, log=None, seed=1)
    assert again.equals(table) and not other.equals(table)
    assert {len(label) for label in quietly(annotations, folder, 1.0, negatives=0)["label"]} == {1}
    assert len(quietly(annotations, folder, 1.0, negatives=None)) == 120
    assert table[["path", "start"]].values.tolist() == sorted(table[["path", "start"]].values.tolist())


def test_the_end_of_a_recording_is_not_lost(recordings):
    folder, annotations = (
        recordings(a=10.6, b=0.4),
        pd.concat([boxes((10.3, 10.6, "owl")), boxes((0, 0.3, "fox"), path="b.wav")]),
    )
    table = quietly(annotations, folder, 1.0)
    assert labels(table)["a.wav", 9.6] == ["owl"] and labels(table)["b.wav", 0.0] == ["fox"]
    with pytest.warns(UserWarning) as said:
        with pytest.raises(ValueError, match="none of 2 annotations labels a window; are they of these recordings"):
            label_windows(annotations, folder, 1.0, rest="drop")
    assert "1 of 2 clips shorter than a window" in str(said[0].message)


def test_windows_of_one_recording_stay_on_one_side(recordings):
    folder = recordings(**{name: 20 for name in "abcdef"})
    annotations = pd.concat([boxes((2, 6, "owl"), (9, 12, "fox"), path=f"{name}.wav") for name in "abcdef"])
    table = quietly(annotations, folder, 2.0, 1.0)
    folds = add_folds(table, 3, group="group")
    assert (folds.groupby("path")["fold"].nunique() == 1).all()
    held_out = split_valid(table, 0.3, group="group")
    assert not set(table["path"][held_out]) & set(table["path"][~held_out]) and held_out.any()
    assert len(sp.cut_windows(table, 1.0, folder=folder)) == 2 * len(table)  # windows may be cut once more


def test_recordings_are_found_by_name_and_others_are_said(recordings):
    folder = recordings(a=4)
    annotations = pd.concat([boxes((1, 2, "owl"), path="/elsewhere/a.wav"), boxes((1, 2, "fox"), path="gone.wav")])
    with pytest.warns(UserWarning, match=r"1 of 2 annotations of recordings that are not given left out \(gone.wav\)"):
        assert labels(label_windows(annotations, folder, 1.0, log=None))["a.wav", 1.0] == ["owl"]
    with pytest.raises(
        ValueError, match=r"1 of 1 annotation of recordings that are not given \(gone.wav; given are a.wav\)"
    ):
        label_windows(annotations[1:], folder, 1.0)
    for given in (["a.wav"], {"a.wav": "a.wav"}, pd.DataFrame({"path": ["a.wav"]})):
        assert labels(quietly(annotations[:1], given, 1.0, folder=folder))["a.wav", 1.0] == ["owl"]
    assert labels(quietly(annotations[:1], folder / "a.wav", 1.0, folder=folder))


def test_a_recording_that_cannot_be_read_is_said(recordings):
    folder = recordings(a=4)
    (folder / "b.wav").write_bytes(b"no sound")
    with pytest.warns(UserWarning, match=r"1 recording that cannot be read left out \(b.wav\)"):
        assert set(label_windows(boxes((1, 2, "owl")), folder, 1.0, log=None)["path"]) == {"a.wav"}


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(seconds=0), "seconds=0; give the length of a window"),
        (dict(overlap=1.0), "overlap=1.0; give seconds"),
        (dict(min_overlap=0), "min_overlap=0; give seconds, above 0 and up to the window's 1"),
        (dict(min_overlap=2), "min_overlap=2; give seconds, above 0 and up to the window's 1"),
        (dict(min_share=1.5), "min_share=1.5; give a share of the annotation"),
        (dict(negatives=1.0), "negatives=1.0; give a share of the table, from 0 to below 1, or None"),
        (dict(rest="cut"), "unknown rest 'cut'"),
        (dict(annotations=boxes((1, 2, "owl"), (3, 4, " "))), r"1 annotation without a label \(the first in 'a.wav' at 3 s\)"),
        (dict(annotations=boxes((90, 91, "owl"))), "none of 1 annotation labels a window"),
        (dict(annotations=pd.DataFrame({"path": ["a.wav"]})), "it lacks start, end, label: give what read_annotations returns"),
    ],
)  # fmt: skip
def test_impossible_wishes_are_refused(recordings, change, message):
    wanted = dict(annotations=boxes((1, 2, "owl")), recordings=recordings(a=4), seconds=1.0, log=None) | change
    with pytest.raises(ValueError, match=message):
        label_windows(**wanted)


# ---------------------------------------------------------------------- from a Raven table to a Raven table


def write_night(folder, name, rng, seconds=16):
    """A recording with an owl and a fox, for two seconds each, where `rng` has it, and Raven's table of them."""
    t = np.arange(seconds * SR) / SR
    y, lines = 0.01 * rng.standard_normal(len(t)), []
    spots = rng.permutation(seconds // 4)[:2] * 4 + 1
    for number, (start, label, hz) in enumerate(zip(spots, ("owl", "fox"), (OWL, FOX)), 1):
        y += 0.3 * np.sin(2 * np.pi * hz * t) * ((start <= t) & (t < start + 2))
        for view, band in (("Waveform 1", "\t"), ("Spectrogram 1", f"{hz - 100}\t{hz + 100}")):
            lines.append(f"{number}\t{view}\t1\t{start:.3f}\t{start + 2:.3f}\t{band}\t{label}")
    sf.write(folder / f"{name}.wav", y.astype("float32"), SR)
    head = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tSpecies"
    (folder / f"{name}.Table.1.selections.txt").write_text("\n".join([head, *lines]) + "\n")


@pytest.mark.slow
def test_a_raven_table_to_a_trained_detector_to_a_raven_table(tmp_path):
    rng, nights = np.random.default_rng(0), tmp_path / "nights"
    nights.mkdir()
    for number in range(6):
        write_night(nights, f"night{number}", rng)
    known = sp.read_annotations(nights, recordings=nights)
    assert len(known) == 12 and set(known["path"]) == {f"night{number}.wav" for number in range(6)}

    table = label_windows(known, nights, seconds=1.0, overlap=0.5, log=None)
    dls = sp.SpecDataLoaders.from_df(
        table, nights, start_col="start", end_col="end", group_col="group", valid_pct=0.3, bs=8, num_workers=0,
        renderer=sp.Renderer(sp.Mel(n_mels=32, n_fft=512, hop_length=256, ref=1.0)), cache=tmp_path / "cache", progress=False, augment=None,
    )  # fmt: skip
    learn = sp.spec_learner(dls, "mini_resnet", pretrained=False, seed=0)
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(12, 1e-2)
    sp.save_classifier(learn, tmp_path / "detector")

    new = tmp_path / "new"
    new.mkdir()
    write_night(new, "dusk", rng)
    true = sp.read_annotations(new, recordings=new)
    windows = sp.load_classifier(tmp_path / "detector").predict_windows(
        new / "dusk.wav", seconds=1.0, overlap=0.5, progress=False
    )
    sp.write_events(sp.merge_events(windows, threshold=0.5), tmp_path / "dusk.selections.txt")
    found = sp.read_annotations(tmp_path / "dusk.selections.txt", recordings="dusk.wav")
    assert sorted(found["label"]) == ["fox", "owl"]
    for label in ("owl", "fox"):
        true_start, true_end = true[true["label"] == label][["start", "end"]].iloc[0]
        start, end = found[found["label"] == label][["start", "end"]].iloc[0]
        assert abs(start - true_start) <= 0.75 and abs(end - true_end) <= 0.75  # as fine as windows are
