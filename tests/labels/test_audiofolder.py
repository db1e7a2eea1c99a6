"""Data sets of Hugging Face: metadata beside the sounds, sounds inside parquet files, folders of classes."""

import builtins
import json

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from specimg.audio import Audio, read_audio
from specimg.data import SpecDataLoaders, WaveDataLoaders
from specimg.labels.audiofolder import labels_from_audiofolder
from specimg.render.renderer import Renderer
from specimg.spectrogram import Mel

SR = 8000
LOOK = Renderer(Mel(n_mels=16, n_fft=256, hop_length=64))


def tone(i):
    return 0.5 * np.sin(2 * np.pi * (300 + 100 * i) * np.arange(SR // 4) / SR)


@pytest.fixture
def sounds(tmp_path):
    """sounds(*paths) writes a tone to each below the folder that it returns."""

    def write(*paths):
        for i, path in enumerate(paths):
            (tmp_path / "set" / path).parent.mkdir(parents=True, exist_ok=True)
            sf.write(tmp_path / "set" / path, tone(i), SR)
        return tmp_path / "set"

    return write


def as_rows(table):
    return list(table.itertuples(index=False, name=None))


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_metadata_beside_the_sounds(sounds, kind):
    folder = sounds("007.wav", "audio/b.wav")
    rows = [
        {"file_name": "007.wav", "transcription": "no, not that", "label": "owl"},
        {"file_name": "audio/b.wav", "transcription": "", "label": "NA"},
    ]
    if kind == "csv":
        pd.DataFrame(rows).to_csv(folder / "metadata.csv", index=False)
    elif kind == "jsonl":
        (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    else:
        pytest.importorskip("pyarrow")
        pd.DataFrame(rows).to_parquet(folder / "metadata.parquet")
    table = labels_from_audiofolder(folder)
    assert as_rows(table) == [("007.wav", "owl"), ("audio/b.wav", "NA")] and table.attrs == {"folder": str(folder)}


def test_metadata_in_the_folders_of_a_split(sounds):
    folder = sounds("train/1.wav", "train/2.wav", "validation/1.wav", "test/1.wav")
    (folder / "train/metadata.csv").write_text("file_name,kind\n1.wav,owl\n2.wav,cat\n")
    (folder / "validation/metadata.csv").write_text("file_name,kind\n1.wav,cat\n")
    (folder / "test/metadata.csv").write_text("file_name,kind\n1.wav,\n")  # nobody knows
    with pytest.warns(UserWarning, match="1 recording .* beside 'train' and 'validation' not used"):
        table = labels_from_audiofolder(folder)
    assert as_rows(table) == [
        ("train/1.wav", "owl", False),
        ("train/2.wav", "cat", False),
        ("validation/1.wav", "cat", True),
    ]


def test_several_labels_and_one_column_a_class(sounds):
    folder = sounds("1.wav", "2.wav")
    rows = [
        {"file_name": "1.wav", "labels": ["owl", "cat"], "owl": 1, "cat": 1},
        {"file_name": "2.wav", "labels": [], "owl": 0, "cat": 0},
    ]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert labels_from_audiofolder(folder)["label"].tolist() == [["owl", "cat"], []]
    assert labels_from_audiofolder(folder, label_col=["cat", "owl"])["label"].tolist() == [["cat", "owl"], []]


def test_folders_of_classes(sounds):
    folder = sounds("train/owl/1.wav", "train/cat/1.wav", "test/owl/1.wav", "test/cat/1.wav")
    with pytest.raises(ValueError, match="give valid='test'"):
        labels_from_audiofolder(folder)
    table = labels_from_audiofolder(folder, valid="test")
    assert set(as_rows(table)) == {
        ("train/owl/1.wav", "owl", False),
        ("train/cat/1.wav", "cat", False),
        ("test/owl/1.wav", "owl", True),
        ("test/cat/1.wav", "cat", True),
    }


@pytest.mark.parametrize(
    "text, message",
    [
        ("name,label\n1.wav,owl\n", "needs the column file_name; it has name, label"),
        ("file_name,depth,place\n1.wav,3,here\n", "has the columns depth, place; give label_col="),
        ("file_name,label\n../1.wav,owl\n", "leads out of"),
        ("file_name,label\n1.wav,\n", "column 'label' is empty in 1 row"),
    ],
)
def test_what_metadata_lacks_is_said(sounds, text, message):
    folder = sounds("1.wav")
    (folder / "metadata.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        labels_from_audiofolder(folder)


def test_lines_that_are_no_objects(sounds):
    folder = sounds("1.wav")
    (folder / "metadata.jsonl").write_text("[1, 2]\n")
    with pytest.raises(ValueError, match="row 1 is no JSON object"):
        labels_from_audiofolder(folder)
    with pytest.raises(ValueError, match="is not a folder"):
        labels_from_audiofolder(folder / "1.wav")


# ---------------------------------------------------------------------- sounds inside parquet files


def write_parquet(path, sounds, labels, names=None, paths=True):
    """As `datasets.Dataset.to_parquet` writes it: a struct of bytes and path, and the names of the classes in the schema."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    cells = [{"bytes": data, "path": f"clip{i}.wav" if paths else None} for i, data in enumerate(sounds)]
    table = pa.table({"audio": pa.array(cells), "label": pa.array(labels)})
    if names:
        features = {"audio": {"_type": "Audio"}, "label": {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, path)


@pytest.fixture
def encoded(sounds):
    """Forty wav files as bytes."""
    folder = sounds(*(f"{i}.wav" for i in range(40)))
    found = [(folder / f"{i}.wav").read_bytes() for i in range(40)]
    for i in range(40):
        (folder / f"{i}.wav").unlink()
    return found


def test_sounds_inside_parquet_files_train_a_network(encoded, tmp_path):
    data, names = tmp_path / "hub" / "data", ["owl", "cat"]
    write_parquet(data / "train-00000-of-00002.parquet", encoded[:20], [0, 1] * 10, names)
    write_parquet(data / "train-00001-of-00002.parquet", encoded[20:30], [0, 1] * 5, names)
    write_parquet(data / "validation-00000-of-00001.parquet", encoded[30:36], [0, 1] * 3, names)
    write_parquet(data / "test-00000-of-00001.parquet", encoded[36:], [-1] * 4, names)
    with pytest.warns(UserWarning, match="4 recordings .* beside 'train' and 'validation' not used"):
        dls = SpecDataLoaders.from_audiofolder(
            tmp_path / "hub",
            unpack=tmp_path / "sounds",
            renderer=LOOK,
            cache=tmp_path / "cache",
            bs=8,
            n_jobs=1,
            progress=False,
        )
    assert (len(dls.train.clips), len(dls.valid.clips), list(dls.vocab)) == (30, 6, ["cat", "owl"])
    row = dls.train.clips.iloc[25]
    written = tmp_path / "sounds" / dls.tree.source.name / row["path"]
    assert written.read_bytes() == encoded[25] and row["label"] == names[25 % 2]
    np.testing.assert_allclose(read_audio(written)[0], tone(25), atol=1e-4)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "sounds").rglob("*.wav")}
    with pytest.warns(UserWarning, match="not used"):
        table = labels_from_audiofolder(tmp_path / "hub", unpack=tmp_path / "sounds")
    assert len(table) == 36 and before == {path: path.stat().st_mtime_ns for path in before}  # written once
    with pytest.warns(UserWarning, match="not used"):
        waves = WaveDataLoaders.from_audiofolder(
            tmp_path / "hub", unpack=tmp_path / "sounds", audio=Audio(sr=SR, duration=0.25), bs=8
        )
    assert len(waves.train.clips) == 30


def test_parquet_without_names_of_classes_and_of_sounds(encoded, tmp_path):
    write_parquet(tmp_path / "hub" / "default" / "train" / "0000.parquet", encoded[:4], ["owl", "cat"] * 2, paths=False)
    table = labels_from_audiofolder(tmp_path / "hub", unpack=tmp_path / "sounds")
    assert as_rows(table) == [(f"train/{i:06}.wav", ["owl", "cat"][i % 2]) for i in range(4)]


def test_a_name_inside_a_parquet_file_leads_nowhere_else(encoded, tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    cells = [{"bytes": encoded[0], "path": "../../../evil.wav"}, {"bytes": encoded[1], "path": r"..\\evil.wav"}]
    (tmp_path / "hub").mkdir()
    parquet.write_table(pa.table({"audio": pa.array(cells), "label": ["a", "b"]}), tmp_path / "hub" / "x.parquet")
    table = labels_from_audiofolder(tmp_path / "hub", unpack=tmp_path / "sounds")
    assert table["path"].tolist() == ["x/000000-evil.wav", "x/000001-evil.wav"]
    assert [path.name for path in tmp_path.rglob("*evil*")] != [] and not (tmp_path / "evil.wav").exists()


def test_parquet_without_a_sound_and_without_pyarrow(encoded, tmp_path, monkeypatch):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    (tmp_path / "hub").mkdir()
    parquet.write_table(pa.table({"text": ["a"], "label": ["b"]}), tmp_path / "hub" / "x.parquet")
    with pytest.raises(ValueError, match="has no column of sounds among text, label"):
        labels_from_audiofolder(tmp_path / "hub", unpack=tmp_path / "sounds")
    write_parquet(tmp_path / "hub" / "x.parquet", [b""], ["owl"])
    with pytest.raises(ValueError, match="row 1 has no sound inside"):
        labels_from_audiofolder(tmp_path / "hub", unpack=tmp_path / "sounds")
    imported = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("pyarrow"):
            raise ModuleNotFoundError(name)
        return imported(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ModuleNotFoundError, match=r"needs the package pyarrow: pip install specimg\[parquet\]"):
        labels_from_audiofolder(tmp_path / "hub", unpack=tmp_path / "sounds")
