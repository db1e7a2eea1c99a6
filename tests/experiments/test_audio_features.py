"""Clip-level features: librosa's numbers, tables that keep bad files as rows, and the baseline on them."""

import librosa
import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from specimg.audio import Audio
from specimg.core import parallel
from specimg.core.files import OutsideError
from specimg.experiments.audio_features import clip_features, feature_columns, feature_table
from specimg.experiments.baseline import LinearBaseline, feature_baseline

SR = 16000


def noise(n, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal(n)).astype("float32")


# ---------------------------------------------------------------------- one clip


def librosas(y, sr, n_fft=2048, hop_length=512, n_mels=64, n_mfcc=20):
    """The same numbers from librosa's functions."""
    feature, frames = librosa.feature, dict(n_fft=n_fft, hop_length=hop_length)
    found = {
        "zcr": feature.zero_crossing_rate(y, frame_length=n_fft, hop_length=hop_length)[0],
        "rms": feature.rms(y=y, frame_length=n_fft, hop_length=hop_length)[0],
        "centroid": feature.spectral_centroid(y=y, sr=sr, **frames)[0],
        "bandwidth": feature.spectral_bandwidth(y=y, sr=sr, **frames)[0],
        "rolloff": feature.spectral_rolloff(y=y, sr=sr, **frames)[0],
    }
    for name, rows in (
        ("mfcc", feature.mfcc(y=y, sr=sr, n_mfcc=n_mfcc, n_mels=n_mels, **frames)),
        ("mel", librosa.power_to_db(feature.melspectrogram(y=y, sr=sr, n_mels=n_mels, **frames))),
    ):
        found |= {f"{name}{i:0{len(str(len(rows) - 1))}d}": row for i, row in enumerate(rows)}
    return {
        f"{name}_{what}": float(take(row))
        for name, row in found.items()
        for what, take in (("mean", np.mean), ("std", np.std))
    }


CLIPS = {
    "noise": noise(20000),
    "sine with silence": np.concatenate([np.zeros(4000), 0.5 * np.sin(0.3 * np.arange(8000)), np.zeros(4000)]).astype(
        "float32"
    ),
    "silence": np.zeros(5000, "float32"),
    "one sample": np.ones(1, "float32"),
    "short": noise(100),
    "clicks": np.eye(1, 9000, 3000, dtype="float32")[0] - np.eye(1, 9000, 6000, dtype="float32")[0],
}


@pytest.mark.filterwarnings("ignore:n_fft=")  # librosa's, of the short ones
@pytest.mark.parametrize("sr", [8000, 22050])
@pytest.mark.parametrize(
    "settings",
    [{}, dict(n_fft=512, hop_length=200, n_mels=20, n_mfcc=10), dict(n_fft=1001, hop_length=300, n_mels=9, n_mfcc=9)],
    ids=str,
)
@pytest.mark.parametrize("name", CLIPS)
def test_features_are_librosas(name, settings, sr):
    ours, theirs = clip_features(CLIPS[name], sr, **settings), librosas(CLIPS[name], sr, **settings)
    assert list(ours) == list(theirs)
    np.testing.assert_allclose(list(ours.values()), list(theirs.values()), rtol=1e-4, atol=3e-3)


def test_features_of_a_sine_are_what_a_sine_has(sine):
    found = clip_features(sine(1000, 2.0), SR)
    assert found["zcr_mean"] == pytest.approx(2 * 1000 / SR, rel=0.05)  # less in the frames at either end
    assert found["rms_mean"] == pytest.approx(0.5 / np.sqrt(2), rel=0.05)
    assert found["centroid_mean"] == pytest.approx(1000, rel=0.05) and found["rolloff_mean"] == pytest.approx(
        1000, rel=0.05
    )
    bands = [found[f"mel{i:02d}_mean"] for i in range(64)]
    edges = librosa.mel_frequencies(66, fmin=0, fmax=8000)
    assert edges[np.argmax(bands)] < 1000 < edges[np.argmax(bands) + 2]
    assert len(found) == 2 * (5 + 20 + 64) and all(np.isfinite(list(found.values())))


def test_a_clip_of_many_blocks_of_frames_is_librosas_too():
    y = noise(900 * 512) * np.linspace(0.01, 1, 900 * 512, dtype="float32")
    np.testing.assert_allclose(
        list(clip_features(y, SR).values()), list(librosas(y, SR).values()), rtol=1e-4, atol=3e-3
    )


@pytest.mark.parametrize(
    "y, settings, message",
    [
        (noise(1000), dict(n_mfcc=65), "n_mfcc=65 has to lie between 1 and n_mels=64"),
        (noise(1000), dict(n_mfcc=0), "n_mfcc=0 has to lie"),
        (noise(1000), dict(n_mels=1000, n_fft=512), "mel filters catch no frequency bin"),
        (np.full(1000, 1e30, "float32"), {}, "so large that their power overflows"),
    ],
)
def test_features_that_cannot_be(y, settings, message):
    with pytest.raises(ValueError, match=message):
        clip_features(y, SR, **settings)


# ---------------------------------------------------------------------- tables

HZ = {"low": 400, "mid": 900, "high": 1800}


@pytest.fixture
def folder(tmp_path, write_wav, sine):
    """Thirty tones in noise, ten of each label."""
    for i in range(30):
        label = list(HZ)[i % 3]
        write_wav(tmp_path / "audio" / f"{i:02d}.wav", sine(HZ[label], 0.3) * 0.3 + 0.5 * noise(4800, i), SR)
    return tmp_path / "audio"


@pytest.fixture
def labels():
    return pd.DataFrame(
        {"path": [f"{i:02d}.wav" for i in range(30)], "label": list(HZ) * 10, "is_valid": [i >= 18 for i in range(30)]}
    )


def test_a_table_has_a_row_for_each_recording_in_its_order(folder, labels):
    backwards = labels[::-1]
    table = feature_table(backwards, folder, n_jobs=1, progress=False)
    assert list(table)[:4] == ["path", "label", "is_valid", "status"] and set(table["status"]) == {"ok"}
    assert table["path"].tolist() == backwards["path"].tolist() and table.index.tolist() == backwards.index.tolist()
    y, sr = sf.read(folder / "07.wav", dtype="float32")
    row = table[table["path"] == "07.wav"].iloc[0]
    assert {name: row[name] for name in feature_columns(table)} == clip_features(y, sr)
    assert len(feature_columns(table)) == 178 and not {"path", "status", "label"} & set(feature_columns(table))


def test_folders_lists_spans_and_conditioning(folder):
    whole = feature_table(folder, n_jobs=1, progress=False)
    assert whole["path"].tolist() == [f"{i:02d}.wav" for i in range(30)]
    listed = feature_table([folder / "03.wav", "04.wav"], folder, n_jobs=1, n_mels=10, n_mfcc=5)
    assert len(feature_columns(listed)) == 2 * (5 + 5 + 10) and "mfcc4_std" in listed
    spans = pd.DataFrame({"path": ["03.wav", "03.wav"], "start": [0.1, np.nan], "end": [0.2, np.nan]})
    table = feature_table(spans, folder, Audio(sr=8000, normalize="rms"), n_jobs=1)
    y, _ = sf.read(folder / "03.wav", dtype="float32")
    assert table["rms_mean"][0] != table["rms_mean"][1]
    halved = librosa.resample(y, orig_sr=SR, target_sr=8000, res_type="soxr_hq")
    assert table["zcr_mean"][1] == pytest.approx(clip_features(halved, 8000)["zcr_mean"])
    again = feature_table(table, folder, n_jobs=1)
    assert list(again).count("status") == 1 and len(feature_columns(again)) == 178


def test_bad_files_are_rows_with_a_reason(folder, write_wav):
    (folder / "words.wav").write_bytes(b"no sound at all")
    write_wav(folder / "loud.wav", np.full(1000, 1e30, "float32"), SR, subtype="FLOAT")
    message = r"3 of 4 clips have no features \(words.wav: is not a recording: it is text.*; none.wav: is not there; loud.wav: "
    with pytest.warns(UserWarning, match=message) as seen:
        table = feature_table(["words.wav", "none.wav", "00.wav", "loud.wav"], folder, n_jobs=1)
    assert seen[0].filename == __file__
    assert table["status"].tolist()[1:3] == ["is not there", "ok"] and table["status"][3].startswith(
        "the samples are so large"
    )
    assert table[feature_columns(table)].isna().all(axis=1).tolist() == [True, True, False, True]


def test_the_table_is_the_same_for_any_number_of_workers(folder, labels, monkeypatch):
    monkeypatch.setattr(parallel, "CHUNK", 4)
    monkeypatch.setattr(parallel, "WORTH_WORKERS", 0)
    pd.testing.assert_frame_equal(
        feature_table(labels, folder, n_jobs=2), feature_table(labels, folder, n_jobs=1), check_exact=True
    )


@pytest.mark.parametrize(
    "args, message",
    [
        (dict(clips=pd.DataFrame({"file": ["a"]})), "it needs 'path'"),
        (dict(clips=[]), "the table has no rows"),
        (dict(clips=["a.wav"], n_mfcc=100), "n_mfcc=100 has to lie between 1 and n_mels=64"),
        (dict(clips=["a.wav"], hop_length=0), "hop_length=0"),
    ],
)
def test_tables_that_cannot_be(folder, args, message):
    with pytest.raises(ValueError, match=message):
        feature_table(folder=folder, **args)
    with pytest.raises(OutsideError):
        feature_table(["../a.wav"], folder)


# ---------------------------------------------------------------------- the baseline


@pytest.fixture
def table(folder, labels):
    return feature_table(labels, folder, n_jobs=1, progress=False)


def split_fold(table):
    return table[~table["is_valid"]], table[table["is_valid"]]


def test_what_the_features_tell_is_found(table):
    train, valid = split_fold(table)
    found = feature_baseline(train, valid)
    assert isinstance(found, LinearBaseline)
    assert (found.accuracy, found.error, found.vocab, found.chance) == (
        1.0,
        0.0,
        ("high", "low", "mid"),
        pytest.approx(1 / 3),
    )
    assert found.clips["path"].tolist() == valid["path"].tolist()
    assert [found.vocab[i] for i in found.probs.argmax(axis=1)] == valid["label"].tolist()
    np.testing.assert_allclose(found.predict(valid), found.probs)
    assert (
        str(found)
        == "feature baseline: accuracy 1.000 (error 0.000) on 12 clips; the most frequent class alone gives 0.333"
    )


def test_labels_that_mean_nothing_are_not_learnt():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "path": [f"{i}.wav" for i in range(200)],
            "label": rng.permutation(["a", "b"] * 100),
            "status": "ok",
            **{f"{name}_mean": rng.normal(size=200) for name in ("zcr", "rms", "centroid")},
        }
    )
    assert feature_baseline(table[:100], table[100:]).accuracy == pytest.approx(0.5, abs=0.15)


def test_a_clip_without_features_does_not_count_and_is_said(table):
    table.loc[29, feature_columns(table)] = np.nan
    table.loc[29, "status"] = "is empty"
    train, valid = split_fold(table)
    with pytest.warns(
        UserWarning, match=r"1 of 12 clips of validation have no features and do not count \(29.wav\)"
    ) as seen:
        found = feature_baseline(train, valid)
    assert len(found.clips) == len(found.probs) == 11 and seen[0].filename == __file__
    with pytest.raises(
        ValueError, match=r"1 clip without features \(29.wav\); leave them out: table\[table\['status'\] == 'ok'\]"
    ):
        found.predict(valid)


def test_a_feature_baseline_that_cannot_be(table):
    train, valid = split_fold(table)
    for args, message in [
        (
            (train, table),
            r"18 recordings in training and in validation \(00.wav, 01.wav, 02.wav, ...\); keep each in one of them",
        ),
        ((train.assign(label=[["a"]] * 18), valid), "needs one label a clip, and these clips have several"),
        ((train[train["label"] == "low"], valid), "training holds the label 'low' only; a classifier needs two"),
        ((train.assign(status="is empty"), valid), "no clip of training has features; the column 'status' says why"),
        ((train.drop(columns="label"), valid), "the table of training needs the columns label and status"),
        ((train[["path", "label", "status"]], valid), "the table lacks features; make it by feature_table"),
        (
            (train, valid.drop(columns=["zcr_mean", "rms_std"])),
            r"the table lacks the features zcr_mean, rms_std; make it by feature_table",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            feature_baseline(*args)
