"""Folders become trees: drawn once, kept whole, the same bytes whoever draws, found again without the recordings."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import warnings
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import soundfile as sf
from PIL import Image

from specimg.audio import Audio, read_audio
from specimg.audio.variants import AddNoise, PitchShift, Roll, TimeStretch, seeded
from specimg.core.files import OutsideError
from specimg.labels.folds import add_folds, split_valid
from specimg.render import tree as render
from specimg.render.manifest import Manifest, Row, read_rows
from specimg.render.plan import render_action
from specimg.render.renderer import Renderer
from specimg.render.tree import SpecTree, render_tree
from specimg.spectrogram import Delta, Mel, Stack
from specimg.spectrogram.picture import Picture, describe, picture_problem, read_planes

LOOK = Renderer(Mel(n_mels=16, n_fft=256, hop_length=128))
SR = 8000


def noise(n=2000, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal(n)).astype("float32")


@pytest.fixture
def source(tmp_path, write_wav):
    """Four recordings: two of one name in two folders, one flac."""
    for seed, name in enumerate(["a/dog.wav", "b/dog.wav", "cat.flac", "b/c/bird.WAV"]):
        write_wav(tmp_path / "source" / name, noise(1500 + 500 * seed, seed), SR)
    return tmp_path / "source"


NAMES = ["a/dog.wav", "b/c/bird.WAV", "b/dog.wav", "cat.flac"]


@pytest.fixture
def draw(tmp_path):
    """draw(source, renderer=LOOK, **render_tree's) into one cache, in this process."""

    def call(source, renderer=LOOK, **kwargs):
        return render_tree(source, renderer, **{"cache": tmp_path / "cache", "n_jobs": 1} | kwargs)

    return call


@pytest.fixture
def opened(monkeypatch):
    """The list of recordings that were opened since."""
    found = []
    read = render.read_clip

    def watched(path, *args):
        found.append(path)
        return read(path, *args)

    monkeypatch.setattr(render, "read_clip", watched)
    return found


def files_below(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def images_of_folder(folder):
    return {name: (folder / name).read_bytes() for name in files_below(folder)}


def images_of(tree):
    return images_of_folder(tree.images)


# ---------------------------------------------------------------------- one picture


def test_the_renderer_draws_what_the_tree_will_hold(source, draw):
    tree = draw(source)
    for name in NAMES:
        assert tree.picture(name).read_bytes() == LOOK.png(source / name)
    image = LOOK(source / "cat.flac")
    assert (image.mode, image.size) == ("L", (1 + 2500 // 128, 16))
    np.testing.assert_array_equal(np.array(image), read_planes(tree.picture("cat.flac"))[0])


def test_the_renderer_draws_samples_as_it_draws_files(source):
    y = noise(2500, 2)
    read, sr = read_audio(source / "cat.flac")
    assert (
        LOOK.png(read, sr)
        == LOOK.png(source / "cat.flac")
        == LOOK.png(read[:, None], np.int64(sr))
        == LOOK.png(read, 8000.0)
    )
    assert LOOK.png(np.stack([read, read], axis=1), sr) == LOOK.png(read, sr)
    renderer = LOOK.replace(audio=Audio(sr=4000, normalize="peak", duration=0.5))
    before = y.copy()
    assert renderer(y, SR).size == (1 + 2000 // 128, 16)
    np.testing.assert_array_equal(y, before)


@pytest.mark.parametrize(
    "args, message",
    [
        ((noise(),), r"samples need their sampling rate: renderer\(y, sr\)"),
        ((noise(), 0), "sampling rate 0: give a whole number of samples a second"),
        ((noise(), 8000.5), "sampling rate 8000.5"),
        ((noise()[:0], SR), r"samples of shape \(0,\)"),
        (
            (noise().reshape(10, 10, 20), SR),
            r"samples of shape \(10, 10, 20\); give \(samples,\) or \(samples, channels\)",
        ),
        ((noise()[None], SR), r"shape \(1, 2000\) have more channels than samples; .* y.T where channels come first"),
        ((np.full(2000, np.nan), SR), "2000 samples are NaN or infinite, the first at 0.000 s"),
    ],
)
def test_samples_that_cannot_be_drawn(args, message):
    with pytest.raises(ValueError, match=message):
        LOOK(*args)


def test_start_and_end_are_of_files_only():
    with pytest.raises(ValueError, match=r"start and end are seconds in a file"):
        LOOK(noise(), SR, start=0.1)


# ---------------------------------------------------------------------- the tree


def test_the_layout_of_a_tree(source, draw, tmp_path):
    tree = draw(source)
    assert tree.root.parent == tmp_path / "cache"
    assert tree.root.name.startswith("source-mel16-") and len(tree.root.name) == len("source-mel16-") + 12
    assert files_below(tree.root) == sorted(
        ["manifest.csv", "manifest.db", "renderer.json"] + [f"images/{name}.png" for name in NAMES]
    )
    facts = json.loads((tree.root / "renderer.json").read_text())
    assert Renderer.from_dict(facts["renderer"]) == LOOK and facts["source"] == str(source)
    assert set(facts["versions"]) == {"specimg", "numpy", "scipy", "soundfile"}


def test_the_table_has_a_row_for_each_picture(source, draw):
    tree = draw(source)
    assert list(tree.table.columns) == [
        "path",
        "start",
        "end",
        "variant",
        "picture",
        "size",
        "mtime",
        "status",
        "reason",
        "duration",
        "sr",
        "note",
    ]
    assert tree.table.path.tolist() == NAMES and set(tree.table.status) == {"drawn"}
    assert tree.table.duration.tolist() == [1500 / SR, 3000 / SR, 2000 / SR, 2500 / SR] and set(tree.table.sr) == {SR}
    assert tree.table["size"].tolist() == [os.path.getsize(source / name) for name in NAMES]
    assert (len(tree), len(tree.failures), repr(tree)) == (4, 0, f"SpecTree(4 pictures, {str(tree.root)!r})")
    csv = pd.read_csv(tree.root / "manifest.csv")
    assert csv.path.tolist() == NAMES and csv.picture.tolist() == [f"{name}.png" for name in NAMES]


def test_a_second_call_draws_nothing_and_opens_no_recording(source, draw, opened, monkeypatch):
    first = draw(source)
    assert len(opened) == 4
    before = {name: os.stat(first.root / name).st_mtime_ns for name in files_below(first.root)}
    opened.clear()
    monkeypatch.setattr("soundfile.SoundFile", None)
    second = draw(source)
    assert opened == [] and second.table.equals(first.table)
    assert {name: os.stat(first.root / name).st_mtime_ns for name in files_below(first.root)} == before


def test_a_changed_recording_is_drawn_again_alone(source, draw, opened, write_wav):
    before = images_of(draw(source))
    opened.clear()
    write_wav(source / "b/dog.wav", noise(2000, 99), SR)  # as long as before: only its time tells
    after = images_of(draw(source))
    assert opened == [str(source / "b/dog.wav")]
    assert {name for name in after if after[name] != before[name]} == {"b/dog.wav.png"}


def test_a_new_recording_is_drawn_alone_and_a_deleted_picture_again(source, draw, opened, write_wav):
    tree = draw(source)
    opened.clear()
    write_wav(source / "new.wav", noise(), SR)
    tree.picture("a/dog.wav").unlink()
    tree = draw(source)
    assert sorted(opened) == [str(source / "a/dog.wav"), str(source / "new.wav")]
    assert len(tree) == 5 and tree.picture("a/dog.wav").exists()


def test_a_recording_that_is_gone_has_no_row(source, draw):
    draw(source)
    (source / "cat.flac").unlink()
    assert draw(source).table.path.tolist() == NAMES[:3]


ROW = Row("a.wav", None, None, "", "a.wav.png", 10, 20, "drawn", "", 1.0, 8000)


@pytest.mark.parametrize(
    "row, stat, has_picture, action",
    [
        (None, (10, 20), False, "draw"),
        (None, (10, 20), True, "draw"),
        (ROW, (10, 20), True, "keep"),
        (ROW, (10, 20), False, "redraw"),
        (ROW, (11, 20), True, "redraw"),
        (ROW, (10, 21), True, "redraw"),
        (ROW, (None, None), True, "redraw"),
        (ROW._replace(status="failed"), (10, 20), False, "keep"),
        (ROW._replace(status="failed"), (10, 21), False, "redraw"),
        (ROW._replace(status="unreadable"), (10, 20), False, "redraw"),
        (ROW._replace(status="failed", size=None, mtime=None), (None, None), False, "keep"),
        (ROW._replace(status="failed", size=None, mtime=None), (10, 20), False, "redraw"),
    ],
)
def test_what_is_to_be_done(row, stat, has_picture, action):
    assert render_action(row, stat, has_picture) == action


# ---------------------------------------------------------------------- the same bytes whoever draws


@pytest.mark.parametrize(
    "renderer",
    [
        LOOK,
        Renderer(
            Stack(LOOK.representation, Delta(LOOK.representation, width=3)),
            Picture(width=9),
            Audio(sr=4000, normalize="rms"),
        ),
    ],
    ids=["mel", "stack"],
)
def test_one_process_or_two_draw_the_same_bytes(draw, tmp_path, write_wav, monkeypatch, renderer):
    for i in range(12):
        write_wav(tmp_path / "many" / f"{i}.wav", noise(2000 + 100 * i, i), SR)
    monkeypatch.setattr("specimg.core.parallel.CHUNK", 2)
    monkeypatch.setattr("specimg.core.parallel.WORTH_WORKERS", 0)
    one = draw(tmp_path / "many", renderer, cache=tmp_path / "one")
    two = draw(tmp_path / "many", renderer, cache=tmp_path / "two", n_jobs=2)
    assert images_of(one) == images_of(two) and len(images_of(two)) == 12
    assert one.table.equals(two.table)


def test_threads_do_not_disturb_each_other(draw, tmp_path, write_wav, monkeypatch):
    names = [f"{i}.wav" for i in range(48)]
    for i, name in enumerate(names):
        write_wav(tmp_path / "many" / name, noise(4000 + 50 * i, i), SR)
    monkeypatch.setattr("specimg.core.parallel.CHUNK", 2)
    monkeypatch.setattr("specimg.core.parallel.WORTH_WORKERS", 0)
    with joblib.parallel_config(backend="threading"):
        tree = draw(tmp_path / "many", n_jobs=4)
    assert [name for name in names if tree.picture(name).read_bytes() != LOOK.png(tmp_path / "many" / name)] == []


def test_the_order_does_not_matter(source, draw, tmp_path):
    forwards = draw(NAMES, root=source)
    backwards = draw(NAMES[::-1], root=source, cache=tmp_path / "other")
    assert images_of(forwards) == images_of(backwards)
    assert backwards.table.path.tolist() == NAMES[::-1]


# ---------------------------------------------------------------------- lists, names and roots


def test_a_list_of_files_is_drawn_below_their_common_folder_or_a_root(source, draw, monkeypatch, tmp_path):
    whole = draw([source / "b/dog.wav", source / "b/c/bird.WAV"])
    assert whole.source == source / "b" and whole.table.path.tolist() == ["dog.wav", "c/bird.WAV"]
    tree = draw([source / "b/dog.wav", "a/dog.wav", "b/dog.wav"], root=source)
    assert tree.table.path.tolist() == ["b/dog.wav", "a/dog.wav"]
    monkeypatch.chdir(tmp_path)
    assert draw(iter(["source/cat.flac"]), root="source").table.path.tolist() == ["cat.flac"]


def test_a_folder_and_a_list_below_it_share_a_tree(source, draw, opened):
    draw(["a/dog.wav"], root=source)
    tree = draw(source)
    assert len(opened) == 4 and len(tree) == 4


def test_two_files_of_one_name_are_two_pictures(source, draw):
    tree = draw(source)
    assert tree.picture("a/dog.wav") != tree.picture("b/dog.wav")
    assert tree.picture("a/dog.wav").read_bytes() != tree.picture("b/dog.wav").read_bytes()


def test_sources_and_renderers_have_trees_of_their_own(source, draw, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    shutil.copytree(source, tmp_path / "elsewhere" / "source")
    trees = [
        draw(source),
        draw(tmp_path / "elsewhere" / "source"),
        draw(source, LOOK.replace(audio=Audio(sr=4000))),
        draw(source, name="mine"),
    ]
    assert len({tree.root for tree in trees}) == 4 and len({tree.root.parent for tree in trees}) == 1
    assert trees[3].root.name.startswith("mine-mel16-")


def test_equal_renderers_share_a_tree_however_written(source, draw):
    assert (
        draw(source, LOOK.replace(audio=Audio(duration=1))).root
        == draw(source, LOOK.replace(audio=Audio(duration=1.0))).root
    )


def test_a_named_tree_travels(source, draw, tmp_path, opened):
    draw(source, name="digits")
    opened.clear()
    shutil.copytree(source, tmp_path / "far" / "audio")
    shutil.copytree(tmp_path / "cache", tmp_path / "far" / "cache")
    tree = draw(tmp_path / "far" / "audio", name="digits", cache=tmp_path / "far" / "cache")
    assert opened == [] and len(tree) == 4
    assert (
        tree.picture(tmp_path / "far/audio/cat.flac") == tmp_path / "far/cache" / tree.root.name / "images/cat.flac.png"
    )


def test_linked_sources_are_one(source, draw, tmp_path, opened):
    os.symlink(source, tmp_path / "link")
    os.symlink(tmp_path / "elsewhere", source / "more")
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(source / "cat.flac", tmp_path / "elsewhere" / "cat.flac")
    tree = draw(source)
    assert draw(tmp_path / "link").root == tree.root and len(opened) == 5
    assert tree.picture(tmp_path / "link" / "cat.flac") == tree.picture("cat.flac") == tree.picture(source / "cat.flac")
    assert tree.picture(source / "more" / "cat.flac") == tree.picture("more/cat.flac")
    assert draw([tmp_path / "link" / "cat.flac"]).root == tree.root


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda s: dict(source=s / "none"),
            "none' is not a folder; give the folder that holds the recordings, or a list of files",
        ),
        (lambda s: dict(source=s / "cat.flac"), "cat.flac' is not a folder"),
        (lambda s: dict(source=[]), "the list of files is empty"),
        (lambda s: dict(source=["a.wav"], root=s / "none"), "root .*none' is not a folder"),
        (lambda s: dict(source=s / "empty"), "holds no recordings; they end in .wav"),
        (
            lambda s: dict(source=s, segments=[{"path": "cat.flac", "start": 0}]),
            "segments lack the columns end; they need path, start and end",
        ),
        (
            lambda s: dict(source=s, segments=[{"path": "cat.flac", "start": 0, "end": 1}, {"path": "cat.flac"}]),
            "segments lack the columns start, end",
        ),
        (
            lambda s: dict(source=s, segments=[{"path": "cat.flac", "start": -1, "end": 1}]),
            "segment of 'cat.flac' from -1.0 s to 1.0 s; start is 0 or later",
        ),
        (lambda s: dict(source=s, segments=[{"path": "cat.flac", "start": 1, "end": 1}]), "end after start"),
        (lambda s: dict(source=s, segments=[{"path": "cat.flac", "start": 0, "end": np.inf}]), "from 0.0 s to inf s"),
        (
            lambda s: dict(source=s, segments=[{"path": "cat.flac", "start": "soon", "end": 1}]),
            "could not convert string to float: 'soon'",
        ),
    ],
)
def test_a_source_that_cannot_be(source, draw, make, message, tmp_path):
    (source / "empty").mkdir()
    with pytest.raises(ValueError, match=message):
        draw(**make(source))
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("name", ["../secret.wav", "a/../../secret.wav", "/etc/passwd", "x\0.wav"])
def test_nothing_outside_the_root_is_drawn(source, draw, name, tmp_path, write_wav):
    write_wav(tmp_path / "secret.wav", noise(), SR)
    for kwargs in (
        dict(source=[name], root=source),
        dict(source=source, segments=[{"path": name, "start": 0, "end": 1}]),
    ):
        with pytest.raises(OutsideError):
            draw(**kwargs)
    assert not (tmp_path / "cache").exists()


def test_the_default_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("SPECIMG_CACHE", str(tmp_path / "mine"))
    assert render.default_cache() == tmp_path / "mine"
    monkeypatch.delenv("SPECIMG_CACHE")
    assert render.default_cache().name == "specimg"


# ---------------------------------------------------------------------- segments


def test_segments_are_pictures_of_their_own(source, draw, opened):
    table = pd.DataFrame(
        {"path": ["cat.flac", "cat.flac", "a/dog.wav"], "start": [0, 0.125, 0.05], "end": [0.125, 0.25, None]}
    )
    tree = draw(source, segments=table)
    assert files_below(tree.images) == ["a/dog.wav@0.05-.png", "cat.flac@0-0.125.png", "cat.flac@0.125-0.25.png"]
    assert tree.table[["path", "start"]].values.tolist() == [
        ["cat.flac", 0.0],
        ["cat.flac", 0.125],
        ["a/dog.wav", 0.05],
    ]
    assert tree.table.duration.tolist() == pytest.approx([0.125, 0.125, 1500 / SR - 0.05])
    assert tree.picture("cat.flac", start=0.125).read_bytes() == LOOK.png(source / "cat.flac", start=0.125, end=0.25)
    assert describe(tree.picture("cat.flac", start=0.125)).begin == 0.125
    opened.clear()
    draw(source, segments=table.to_dict("records")[::-1])
    assert opened == []


def test_segments_take_names_as_lists_do(source, draw, tmp_path):
    os.symlink(source, tmp_path / "link")
    for path in ("cat.flac", source / "cat.flac", str(tmp_path / "link" / "cat.flac")):
        assert draw(source, segments=[dict(path=path, start=0, end=0.1)]).table.path.tolist() == ["cat.flac"]


@pytest.mark.parametrize("none", [None, np.nan, pd.NA])
def test_no_start_or_no_end_is_the_files_own(source, draw, none):
    if none is pd.NA:
        table = pd.DataFrame(
            {"path": ["cat.flac"], "start": pd.array([none], dtype="Float64"), "end": pd.array([none], dtype="Float64")}
        )
    else:
        table = [dict(path="cat.flac", start=none, end=none)]
    tree = draw(source, segments=table)
    assert files_below(tree.images) == ["cat.flac.png"] and tree.table.duration[0] == 2500 / SR


def test_a_segment_beyond_the_end_is_a_row_with_its_reason(source, draw):
    with pytest.warns(UserWarning, match="1 of 2 clips could not be drawn"):
        tree = draw(source, segments=[dict(path="cat.flac", start=0, end=9), dict(path="cat.flac", start=5, end=9)])
    assert len(tree) == 1 and tree.failures.reason.tolist() == ["ends at 0.3125 s, before the span from 5 s"]


def test_which_segment_is_asked_for_has_to_be_said(source, draw):
    tree = draw(source, segments=[dict(path="cat.flac", start=0, end=0.1), dict(path="cat.flac", start=0.1, end=0.2)])
    with pytest.raises(ValueError, match="'cat.flac' has 2 pictures; it is drawn from 0, 0.1 s: give start="):
        tree.picture("cat.flac")
    with pytest.raises(ValueError, match="'cat.flac' has no pictures from 0.05 s"):
        tree.picture("cat.flac", start=0.05)


# ---------------------------------------------------------------------- variants

VARIANTS = (AddNoise(20), Roll(0.25), TimeStretch(0.8), PitchShift(-5))


def test_each_variant_is_one_more_picture_of_every_clip(source, draw):
    tree = draw(source, variants=VARIANTS)
    assert len(tree) == 5 * 4 and tree.root == draw(source).root
    assert files_below(tree.images) == sorted(
        f"{name}{tag}.png" for name in NAMES for tag in ("", "@noise-20dB", "@roll-0.25", "@stretch-0.8", "@pitch-5")
    )
    assert tree.table["variant"].tolist() == [
        name for name in ("", "noise-20dB", "roll-0.25", "stretch-0.8", "pitch-5") for _ in NAMES
    ]
    assert tree.table["path"].tolist() == NAMES * 5
    assert tree.originals.equals(draw(source).table) and tree.originals["path"].tolist() == NAMES
    assert SpecTree.open(tree.root).originals["path"].tolist() == sorted(NAMES)
    assert set(pd.read_csv(tree.root / "manifest.csv", keep_default_na=False)["variant"]) == {
        "",
        *(v.name for v in VARIANTS),
    }


def test_a_variants_picture_is_that_of_the_changed_samples(source, draw):
    tree = draw(source, variants=VARIANTS)
    y, sr = read_audio(source / "b/dog.wav")
    for variant in VARIANTS[1:]:
        assert tree.picture("b/dog.wav", variant=variant).read_bytes() == LOOK.png(variant(y, sr), sr)
    noisy = seeded(AddNoise(20), "b/dog.wav", None, None)(y, sr)
    assert (
        tree.picture("b/dog.wav", variant="noise-20dB").read_bytes()
        == LOOK.png(noisy, sr)
        != tree.picture("b/dog.wav").read_bytes()
    )
    assert [describe(tree.picture("b/dog.wav", variant=v)).width for v in ("", "stretch-0.8", "pitch-5")] == [
        1 + 2000 // 128,
        1 + 2500 // 128,
        1 + 2000 // 128,
    ]


def test_variants_of_segments(source, draw):
    segments = [dict(path="cat.flac", start=0, end=0.125), dict(path="cat.flac", start=0.125, end=0.25)]
    tree = draw(source, segments=segments, variants=[TimeStretch(0.8), AddNoise(10)])
    assert files_below(tree.images) == sorted(
        f"cat.flac@{span}{tag}.png" for span in ("0-0.125", "0.125-0.25") for tag in ("", "@stretch-0.8", "@noise-10dB")
    )
    y, sr = read_audio(source / "cat.flac", start=0.125, end=0.25)
    for variant, changed in [
        (TimeStretch(0.8), TimeStretch(0.8)(y, sr)),
        (AddNoise(10), seeded(AddNoise(10), "cat.flac", 0.125, 0.25)(y, sr)),
    ]:
        drawn = tree.picture("cat.flac", 0.125, variant)
        np.testing.assert_array_equal(read_planes(drawn)[0], np.array(LOOK(changed, sr)))
        assert describe(drawn).begin == 0.125


def test_variants_are_drawn_once_and_again_when_their_recording_changes(source, draw, opened, write_wav):
    draw(source)
    opened.clear()
    draw(source, variants=[Roll(0.25)])
    assert len(opened) == 4  # the originals stand already
    opened.clear()
    draw(source, variants=[Roll(0.25)])
    assert opened == []
    write_wav(source / "b/dog.wav", noise(2000, 99), SR)
    draw(source, variants=[Roll(0.25), Roll(0.5)])
    assert opened.count(str(source / "b/dog.wav")) == 3 and len(opened) == 3 + 3


@pytest.mark.parametrize(
    "backend, variants", [("loky", VARIANTS[:2]), ("threading", VARIANTS[2:])]
)  # fresh processes take long to load librosa
def test_variants_have_the_same_bytes_for_any_number_of_workers_and_any_order(
    draw, tmp_path, write_wav, monkeypatch, backend, variants
):
    for i in range(8):
        write_wav(tmp_path / "many" / f"{i}.wav", noise(3000 + 100 * i, i), SR)
    monkeypatch.setattr("specimg.core.parallel.CHUNK", 3)
    monkeypatch.setattr("specimg.core.parallel.WORTH_WORKERS", 0)
    one = draw(tmp_path / "many", variants=variants, cache=tmp_path / "one")
    with joblib.parallel_config(backend=backend):
        two = draw(tmp_path / "many", variants=variants[::-1], cache=tmp_path / "two", n_jobs=2)
    assert images_of(one) == images_of(two) and len(images_of(two)) == 24
    (tmp_path / "far").mkdir()
    shutil.copytree(tmp_path / "many", tmp_path / "far" / "many")
    assert images_of(draw(tmp_path / "far" / "many", variants=variants, cache=tmp_path / "three")) == images_of(one)


def test_which_variant_is_asked_for_and_shown(source, draw):
    tree = draw(source, variants=[Roll(0.25)])
    assert (
        tree.picture("cat.flac").name == "cat.flac.png"
        and tree.picture("cat.flac", variant=Roll(0.25)).name == "cat.flac@roll-0.25.png"
    )
    assert tree.show("cat.flac", variant=Roll(0.25)).axes[0].get_title() == "cat.flac roll-0.25"
    with pytest.raises(
        ValueError, match="'cat.flac' has no picture of its variant 'roll-0.5'; it has '', 'roll-0.25': give variant="
    ):
        tree.picture("cat.flac", variant=Roll(0.5))


def test_a_broken_file_fails_in_all_its_variants_and_gc_takes_them_all(source, draw):
    tree = draw(source, variants=[Roll(0.25)])
    (source / "cat.flac").write_bytes(b"no sound at all")
    with pytest.warns(UserWarning, match="2 of 8 clips could not be drawn"):
        tree = draw(source, variants=[Roll(0.25)])
    assert tree.failures["path"].tolist() == ["cat.flac", "cat.flac"]
    (source / "cat.flac").unlink()
    assert tree.gc() == ["cat.flac.png", "cat.flac@roll-0.25.png"] and len(tree.table) == 6


def test_what_is_no_variant_is_said_before_anything_is_drawn(source, tmp_path):
    with pytest.raises(ValueError, match="'noise' is not a variant"):
        render_tree(source, LOOK, tmp_path / "cache", variants=["noise"])
    assert not (tmp_path / "cache").exists()


def test_folds_and_splits_keep_all_variants_of_a_recording_on_one_side(draw, tmp_path, write_wav):
    for i in range(12):
        write_wav(tmp_path / "many" / f"{'ab'[i % 2]}{i}.wav", noise(1500, i), SR)
    table = draw(tmp_path / "many", variants=VARIANTS[:2]).table
    table["label"] = table["path"].str[0]
    assert len(table) == 36
    for sides in (add_folds(table, 3)["fold"], split_valid(table, 0.3)):
        assert sides.groupby(table["path"]).nunique().max() == 1 and sides.nunique() > 1


# ---------------------------------------------------------------------- what a tree does


def test_a_tree_is_found_again_without_its_recordings(source, draw, tmp_path):
    drawn = draw(source)
    shutil.rmtree(source)
    tree = SpecTree.open(drawn.root)
    assert (len(tree), tree.renderer, tree.source) == (4, LOOK, source)
    assert tree.picture("a/dog.wav").exists() and tree.picture(source / "a/dog.wav").exists()
    assert len(tree.verify()) == 0


def test_a_tree_is_found_again_on_a_disk_that_cannot_be_written(source, draw, tmp_path, mount_tmpfs, opened):
    disk = mount_tmpfs(tmp_path / "disk")
    tree = draw(source, name="digits")
    shutil.copytree(tree.root, disk / tree.root.name)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    opened.clear()
    for found in (SpecTree.open(disk / tree.root.name), draw(source, name="digits", cache=disk)):
        assert len(found) == 4 and found.table.equals(tree.table)
        assert found.show("cat.flac").axes[0].get_title() == "cat.flac"
    assert opened == []


@pytest.mark.parametrize(
    "content, message",
    [
        (None, "is not a tree \\(it has no renderer.json\\)$"),
        ("{", "renderer.json' is not JSON: Expecting"),
        ("[" * 100_000, "renderer.json' is nested in more than 100 levels"),
        ("[]", "renderer.json' holds a list"),
        ('{"renderer": {"kind": "renderer", "ink": 3}, "source": "a"}', "unknown field of Renderer 'ink'"),
    ],
)
def test_what_is_not_a_tree(tmp_path, content, message):
    if content:
        (tmp_path / "renderer.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        SpecTree.open(tmp_path)


def test_the_cache_itself_is_not_a_tree_but_its_trees_are_named(source, draw):
    tree = draw(source)
    with pytest.raises(ValueError, match=f"it holds the trees {tree.root.name}"):
        SpecTree.open(tree.root.parent)


@pytest.mark.parametrize(
    "name, message",
    [
        ("none.wav", "no picture of 'none.wav' in SpecTree.*; call render_tree again if it is new"),
        ("../x.wav", "leads out"),
    ],
)
def test_a_picture_that_was_not_asked_for(source, draw, name, message):
    with pytest.raises(ValueError, match=message):
        draw(source).picture(name)


def test_show_draws_the_picture_with_its_name(source, draw):
    (ax,) = draw(source).show("b/c/bird.WAV").axes
    assert (ax.get_title(), ax.get_xlabel(), ax.get_ylabel()) == ("bird.WAV", "seconds", "Hz")


def test_failures_are_rows_without_a_picture(source, draw, opened):
    (source / "bad.wav").write_text("no sound")
    with pytest.warns(
        UserWarning, match=r"1 of 5 clips could not be drawn \(bad.wav: is not a recording: .*\); see tree.failures"
    ):
        tree = draw(source)
    assert (len(tree), repr(tree)) == (4, f"SpecTree(4 pictures, 1 failures, {str(tree.root)!r})")
    assert tree.failures.path.tolist() == ["bad.wav"] and tree.failures.columns.tolist() == [
        "path",
        "start",
        "end",
        "reason",
    ]
    with pytest.raises(ValueError, match="'bad.wav' was not drawn: is not a recording"):
        tree.picture("bad.wav")
    opened.clear()
    assert len(draw(source).failures) == 1 and opened == []  # a broken file stays broken until it changes


def test_a_failed_recording_that_is_mended_is_drawn_and_one_that_breaks_has_no_picture(source, draw, write_wav):
    (source / "bad.wav").write_text("no sound")
    with pytest.warns(UserWarning, match="bad.wav"):
        draw(source)
    write_wav(source / "bad.wav", noise(), SR)
    assert len(draw(source)) == 5
    (source / "cat.flac").write_text("no sound")
    with pytest.warns(UserWarning, match="cat.flac"):
        tree = draw(source)
    assert tree.failures.path.tolist() == ["cat.flac"]
    with pytest.raises(ValueError, match="was not drawn"):
        tree.picture("cat.flac")


def test_what_nobody_expected_is_tried_again(source, draw, monkeypatch):
    def trouble(*args):
        raise RuntimeError("cosmic ray")

    with monkeypatch.context() as patch:
        patch.setattr(render, "read_clip", trouble)
        with pytest.warns(UserWarning, match="4 of 4"):
            tree = draw(source)
    assert set(tree.failures.reason) == {"RuntimeError: cosmic ray"}
    assert len(draw(source)) == 4


def test_a_package_that_is_missing_ends_the_run(source, draw, monkeypatch):
    monkeypatch.setitem(sys.modules, "noisereduce", None)
    with pytest.raises(ModuleNotFoundError, match="pip install"):
        draw(source, LOOK.replace(audio=Audio(denoise="stationary")))


def test_mixed_sampling_rates_are_said_with_counts(source, draw, write_wav):
    write_wav(source / "high.wav", noise(4000), 16000)
    with pytest.warns(
        UserWarning,
        match=r"2 sampling rates \(4 at 8000 Hz, 1 at 16000 Hz\).* Audio\(sr=8000\) would bring them together",
    ):
        draw(source)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw(source, LOOK.replace(audio=Audio(sr=8000)))


def test_verify_finds_what_is_missing_or_damaged_and_drops_it(source, draw, opened):
    tree = draw(source)
    assert len(tree.verify()) == 0
    tree.picture("a/dog.wav").unlink()
    damaged = tree.picture("cat.flac")
    damaged.write_bytes(damaged.read_bytes()[:-20])
    bad = tree.verify()
    assert bad.path.tolist() == ["a/dog.wav", "cat.flac"] and bad.columns.tolist() == ["path", "picture", "problem"]
    assert "No such file" in bad.problem[0] and bad.problem[1] == "is cut short"
    assert damaged.exists()
    tree.verify(drop=True)
    assert not damaged.exists()
    opened.clear()
    tree = draw(source)
    assert len(opened) == 2 and len(tree.verify()) == 0


def make_old(path):
    past = time.time() - 10 * render.IN_FLIGHT
    os.utime(path, (past, past))


def test_gc_removes_what_no_longer_belongs_and_nothing_else(source, draw):
    tree = draw(source)
    kept = images_of(tree)
    for name in ["stray.png", ".partial-123", "a/young.png", "a/.partial-456"]:
        (tree.images / name).write_bytes(b"x")
    for name in ["stray.png", ".partial-123", *kept]:
        make_old(tree.images / name)
    (source / "cat.flac").unlink()
    assert tree.gc() == [".partial-123", "cat.flac.png", "stray.png"]
    assert set(images_of(tree)) == set(kept) - {"cat.flac.png"} | {"a/young.png", "a/.partial-456"}
    assert len(tree) == len(tree.table) == len(SpecTree.open(tree.root)) == 3
    assert pd.read_csv(tree.root / "manifest.csv").path.tolist() == NAMES[:3]
    with pytest.raises(ValueError, match="no picture of 'cat.flac'"):
        tree.picture("cat.flac")
    assert tree.gc() == []


def test_gc_refuses_where_the_recordings_are_gone_altogether(source, draw, tmp_path):
    tree = draw(source)
    source.rename(tmp_path / "moved")
    with pytest.raises(
        ValueError, match="is not there, so nobody can say which pictures still belong; nothing was deleted"
    ):
        tree.gc()
    assert len(images_of(tree)) == 4


# ---------------------------------------------------------------------- the manifest


def rows(*names, **changes):
    return [ROW._replace(path=name, picture=f"{name}.png", **changes) for name in names]


def test_rows_are_replaced_by_picture_and_come_back_as_they_were(tmp_path):
    odd = os.fsdecode(b"caf\xe9.wav")
    with Manifest(tmp_path) as manifest:
        manifest.put(rows("b.wav", "a.wav", "new\nline.wav", odd))
        manifest.put(rows("a.wav", status="failed", reason="is empty", duration=None))
        manifest.drop(["b.wav.png"])
        manifest.export()
    found = {row.path: row for row in read_rows(tmp_path)}
    assert set(found) == {"a.wav", "new\nline.wav", odd}
    assert (
        found["a.wav"] == rows("a.wav", status="failed", reason="is empty", duration=None)[0]
        and found[odd] == rows(odd)[0]
    )
    assert sorted(os.listdir(tmp_path)) == ["manifest.csv", "manifest.db"]
    assert set(pd.read_csv(tmp_path / "manifest.csv").path) == {"a.wav", "new\nline.wav", "caf\\udce9.wav"}


def test_a_tree_whose_process_was_killed_at_its_beginning_is_empty(tmp_path):
    assert read_rows(tmp_path) == []
    (tmp_path / "manifest.db").write_bytes(b"")
    assert read_rows(tmp_path) == []


def test_a_damaged_manifest_is_an_error_with_a_way_out(source, draw):
    tree = draw(source)
    (tree.root / "manifest.db").write_bytes(b"garbage" * 1000)
    for call in (lambda: draw(source), lambda: SpecTree.open(tree.root)):
        with pytest.raises(
            ValueError, match="manifest.db' is damaged .*; delete it, and the next render_tree draws the tree again"
        ):
            call()
    (tree.root / "manifest.db").unlink()
    assert len(draw(source)) == 4


@pytest.mark.parametrize("writable", [True, False])
def test_the_log_of_a_killed_process_counts(tmp_path, monkeypatch, writable):
    writer = Manifest(tmp_path)
    writer.put(rows("a.wav", "b.wav"))
    assert (tmp_path / "manifest.db-wal").stat().st_size > 0
    shutil.copytree(tmp_path, tmp_path / "copy")  # as it lies there in the middle of drawing
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: access(path, mode) and (writable or mode != os.W_OK))
    assert [row.path for row in read_rows(tmp_path / "copy")] == ["a.wav", "b.wav"]
    writer.__exit__()


def test_processes_that_begin_and_end_together_wait_for_each_other(tmp_path):
    script = """
import signal, sys, time
from specimg.render.manifest import Manifest, Row
folder, who, begin = sys.argv[1], sys.argv[2], float(sys.argv[3])
time.sleep(max(0, begin - time.time()))
for i in range(40):
    with Manifest(folder) as manifest:
        manifest.put([Row(f"{who}{i}", None, None, "", f"{who}{i}.png", 1, 1, "drawn", "", 1.0, 8000)])
"""
    begin = str(time.time() + 1.0)
    processes = [
        subprocess.Popen([sys.executable, "-c", script, tmp_path, who, begin], stderr=subprocess.PIPE) for who in "abc"
    ]
    for process in processes:
        _, error = process.communicate(timeout=120)
        assert process.returncode == 0, error.decode()
    assert len(read_rows(tmp_path)) == 120


# ---------------------------------------------------------------------- trees from elsewhere


def test_nothing_outside_a_tree_is_deleted_for_a_name_in_its_manifest(source, draw, tmp_path):
    tree, mine = draw(source), tmp_path / "mine.txt"
    mine.write_text("notes")
    for name in (str(mine), "../../../mine.txt"):
        with Manifest(tree.root) as written:
            written.put([Row("a/x.wav", None, None, "", name, 1, 1, "drawn", "", 1.0, SR)])
        for call in (lambda: SpecTree.open(tree.root), lambda: draw(source), tree.gc):
            with pytest.raises(ValueError, match=r"manifest.db' is damaged \(.*mine.txt' leads out of"):
                call()
        with Manifest(tree.root) as written:
            written.drop([name])
    assert mine.read_text() == "notes" and len(SpecTree.open(tree.root)) == 4


@pytest.mark.parametrize("name", ["images", "images/a", "images/cat.flac.png"])
def test_links_in_a_tree_are_refused_and_never_passed(source, draw, tmp_path, name):
    tree, mine = draw(source), tmp_path / "mine"
    shutil.copytree(tree.images, mine)
    (mine / "cat.flac.png").write_bytes(b"damaged")
    place, target = tree.root / name, mine / name.removeprefix("images").strip("/")
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    place.symlink_to(target)
    before = images_of_folder(mine)
    for call in (tree.gc, lambda: tree.verify(drop=True), lambda: draw(source)):
        with pytest.raises(OutsideError, match="is a link, and could lead out of"):
            call()
    if name == "images":
        with pytest.raises(OutsideError, match="is a link"):
            SpecTree.open(tree.root)
    assert images_of_folder(mine) == before


def test_verify_and_gc_survive_a_folder_in_the_place_of_a_picture(source, draw):
    tree = draw(source)
    for name in ("cat.flac.png", "a/dog.wav.png"):
        (tree.images / name).unlink()
        (tree.images / name).mkdir()
    (tree.images / "a/dog.wav.png/notes.txt").write_text("mine")
    assert tree.gc() == []
    found = tree.verify(drop=True).set_index("path").problem
    assert found["cat.flac"] and not (tree.images / "cat.flac.png").exists()
    assert found["a/dog.wav"].endswith("could not be deleted (Directory not empty): remove it by hand")
    with pytest.warns(UserWarning, match="1 of 4 clips could not be drawn"):
        assert len(draw(source)) == 3
    assert (tree.images / "a/dog.wav.png/notes.txt").read_text() == "mine"


def test_a_file_of_a_renderer_that_is_no_json_is_read_in_bounds(source, draw, peak_memory):
    tree = draw(source)
    (tree.root / "renderer.json").write_bytes(b'{"renderer": ' + b"[" * 900_000)
    assert peak_memory("from specimg.render import SpecTree", f"SpecTree.open({str(tree.root)!r})") < 60  # MB
    with open(tree.root / "renderer.json", "wb") as file:
        file.truncate(2**33)
    assert peak_memory("from specimg.render import SpecTree", f"SpecTree.open({str(tree.root)!r})") < 10


def test_the_list_that_a_killed_process_left_out_of_date_is_written(source, draw, monkeypatch):
    monkeypatch.setattr(Manifest, "export", lambda self: None)  # as one that was killed before
    tree = draw(source)
    assert not (tree.root / "manifest.csv").exists()
    monkeypatch.undo()
    draw(source)
    assert len(pd.read_csv(tree.root / "manifest.csv")) == 4


@pytest.mark.parametrize("make", [os.mkfifo, Path.touch])
def test_something_else_in_the_place_of_the_pictures_folder_is_said(source, draw, make):
    tree = draw(source)
    shutil.rmtree(tree.images)
    make(tree.images)
    for call in (lambda: SpecTree.open(tree.root), lambda: draw(source), tree.gc, lambda: tree.verify(drop=True)):
        with pytest.raises(ValueError, match="images' is no folder; remove it, and the next render_tree draws"):
            call()


# ---------------------------------------------------------------------- recordings that are too long


def test_a_recording_too_long_for_a_picture_is_a_row_unless_only_its_beginning_is_looked_at(source, draw, monkeypatch):
    monkeypatch.setattr(render, "MAX_SAMPLES", 2999)
    with pytest.warns(UserWarning, match="1 of 4 clips could not be drawn .*too long to be read at once"):
        assert draw(source).failures.path.tolist() == ["b/c/bird.WAV"]
    assert len(draw(source, LOOK.replace(audio=Audio(duration=0.2)))) == 4


# ---------------------------------------------------------------------- drawn means there


def lost_after(monkeypatch, n, take):
    """From the `n`-th chunk on every picture is taken away as soon as it is drawn, `take` times."""
    draw_chunk, calls = render._draw_chunk, []

    def elsewhere(renderer, root, images, variants, jobs):
        rows = draw_chunk(renderer, root, images, variants, jobs)
        calls.append(jobs)
        if n <= len(calls) < n + take:
            for job in jobs:
                os.unlink(os.path.join(images, job.picture))
        return rows

    monkeypatch.setattr(render, "_draw_chunk", elsewhere)
    monkeypatch.setattr("specimg.core.parallel.CHUNK", 1)
    return calls


def test_pictures_that_are_gone_at_the_end_are_drawn_again(source, draw, monkeypatch):
    calls = lost_after(monkeypatch, 2, 2)
    tree = draw(source)
    assert len(calls) == 6 and len(tree) == 4 and tree.verify().empty


def test_a_folder_that_is_deleted_while_a_picture_is_written_is_made_again(source, draw, monkeypatch):
    write, failed = render.write_atomic, []

    def late(path, data):
        if str(path).endswith(".png") and not failed:
            failed.append(path)
            raise FileNotFoundError(2, "No such file or directory", path)
        write(path, data)

    monkeypatch.setattr(render, "write_atomic", late)
    assert len(draw(source)) == 4 and failed


def test_pictures_of_the_calls_before_that_are_deleted_meanwhile_are_drawn_again(source, draw, monkeypatch, write_wav):
    first = draw(source)
    write_wav(source / "new.wav", noise(), SR)
    draw_chunk = render._draw_chunk

    def forgetful(*args):
        shutil.rmtree(first.images, ignore_errors=True)
        monkeypatch.setattr(render, "_draw_chunk", draw_chunk)
        return draw_chunk(*args)

    monkeypatch.setattr(render, "_draw_chunk", forgetful)
    tree = draw(source)
    assert len(tree) == 5 and tree.verify().empty


def test_pictures_that_never_arrive_are_said_and_not_counted(source, draw, monkeypatch):
    lost_after(monkeypatch, 3, 99)
    with pytest.raises(
        RuntimeError, match=r"2 of 4 pictures were drawn twice and are not in .*images' \(b/dog.wav.png, cat"
    ):
        draw(source)
    monkeypatch.undo()
    (folder,) = (source.parent / "cache").iterdir()
    opened = SpecTree.open(folder)
    assert len(opened) == 2 and set(opened.failures.reason) == {"its picture was drawn and is not in the tree"}
    assert len(draw(source)) == 4


def test_what_a_worker_cannot_read_and_we_can_is_said_once(source, draw, monkeypatch, tmp_path):
    draw_chunk = render._draw_chunk
    monkeypatch.setattr("specimg.core.parallel.CHUNK", 1)
    seen = os.access

    def elsewhere(renderer, root, *rest):  # as on a machine that has the recordings nowhere
        monkeypatch.setattr(os, "access", lambda path, mode: False)
        try:
            return draw_chunk(renderer, str(tmp_path / "nowhere"), *rest)
        finally:
            monkeypatch.setattr(os, "access", seen)

    monkeypatch.setattr(render, "_draw_chunk", elsewhere)
    with pytest.raises(
        RuntimeError, match="a worker cannot read '.*a/dog.wav', which is there .*; 0 of 4 pictures are"
    ):
        draw(source)


def test_a_recording_that_is_deleted_meanwhile_is_a_row(source, draw, monkeypatch):
    draw_chunk = render._draw_chunk

    def late(*args):
        (source / "cat.flac").unlink(missing_ok=True)
        return draw_chunk(*args)

    monkeypatch.setattr(render, "_draw_chunk", late)
    with pytest.warns(UserWarning, match="1 of 4 clips could not be drawn .cat.flac: is not there"):
        assert draw(source).failures.path.tolist() == ["cat.flac"]


@pytest.mark.parametrize("chunk", [1, 16])
def test_a_tree_that_is_deleted_while_it_is_drawn_is_said(source, draw, monkeypatch, chunk):
    draw_chunk = render._draw_chunk

    def deleted(renderer, root, images, *rest):
        rows = draw_chunk(renderer, root, images, *rest)
        shutil.rmtree(os.path.dirname(images), ignore_errors=True)
        return rows

    monkeypatch.setattr(render, "_draw_chunk", deleted)
    monkeypatch.setattr("specimg.core.parallel.CHUNK", chunk)
    with pytest.raises(FileNotFoundError, match="was deleted while it was being drawn; call again to draw it anew"):
        draw(source)
    monkeypatch.undo()
    assert len(draw(source)) == 4


def test_a_killed_worker_is_said(source, draw, monkeypatch):
    def killed(work, items, n_jobs, **options):
        yield work(items[:1])
        raise BrokenProcessPool("A process was terminated abruptly")

    monkeypatch.setattr(render, "map_chunks", killed)
    with pytest.raises(
        ChildProcessError, match="was killed, .*what is drawn is kept, and the same call draws the rest, .*n_jobs="
    ):
        draw(source)
    monkeypatch.undo()
    assert len(draw(source)) == 4


# ---------------------------------------------------------------------- stopped, killed, and two at once

CHILD = """
import signal, sys, time
from specimg.core import parallel
from specimg.render import tree as render
from specimg.spectrogram import Mel
signal.signal(signal.SIGINT, signal.default_int_handler)   # a shell starts what runs in the background deaf to Ctrl-C
source, cache, n_jobs, pause = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
read = render.read_clip
def slow(*args):
    time.sleep(pause)
    return read(*args)
render.read_clip = slow
parallel.CHUNK, parallel.WORTH_WORKERS = 4, 0
render.render_tree(source, render.Renderer(Mel(n_mels=16, n_fft=256, hop_length=128)), cache, n_jobs=n_jobs)
"""


@pytest.fixture
def many(tmp_path, write_wav):
    """many(n): a folder of n recordings, most of them links to a few."""

    def make(n):
        for i in range(n):
            path = tmp_path / "many" / f"{i:04d}.wav"
            if i < 8:
                write_wav(path, noise(2000, i), SR)
            else:
                os.link(tmp_path / "many" / f"{i % 8:04d}.wav", path)
        return tmp_path / "many"

    return make


def start(source, cache, n_jobs=1, pause=0.0):
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, source, cache, str(n_jobs), str(pause)],
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def wait_for_pictures(process, cache, n):
    for _ in range(6000):
        if len(list(cache.glob("*/images/*.png"))) >= n:
            return
        assert process.poll() is None, process.stderr.read().decode()
        time.sleep(0.01)
    raise AssertionError("no pictures for a minute")


def check_what_is_left(cache, asked):
    """Every picture is whole, and every row has its picture; returns the rows."""
    (root,) = cache.iterdir()
    images = [path for path in (root / "images").iterdir() if not path.name.startswith(".partial-")]
    assert 0 < len(images) < asked, "the process was to be stopped in the middle"
    assert [picture_problem(path, LOOK.representation) for path in images] == [None] * len(images)
    drawn = read_rows(root)
    assert {row.picture for row in drawn} <= {path.name for path in images}
    return drawn


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("n_jobs, n, pause", [(1, 60, 0.05), (2, 3000, 0.0)])
def test_ctrl_c_keeps_what_is_drawn_and_says_so(draw, tmp_path, many, opened, n_jobs, n, pause):
    process = start(many(n), tmp_path / "cache", n_jobs, pause)
    wait_for_pictures(process, tmp_path / "cache", 17)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to all of them
    _, error = process.communicate(timeout=60)
    assert process.returncode != 0
    drawn = check_what_is_left(tmp_path / "cache", n)
    (root,) = (tmp_path / "cache").iterdir()
    assert list((root / "images").glob(".partial-*")) == [] or n_jobs > 1
    assert f"stopped: {len(drawn)} of {n} pictures are drawn and kept; call again to draw the rest" in error.decode()
    tree = draw(tmp_path / "many")
    assert len(opened) == n - len(drawn) and len(tree) == n and len(tree.verify()) == 0


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_kill_costs_the_pictures_in_flight_only(draw, tmp_path, many, opened):
    process = start(many(60), tmp_path / "cache", pause=0.05)
    wait_for_pictures(process, tmp_path / "cache", 17)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    drawn = check_what_is_left(tmp_path / "cache", 60)
    assert len(drawn) >= 16 and len(drawn) % 4 == 0  # whole chunks; at most one was in flight
    tree = draw(tmp_path / "many")
    assert len(opened) == 60 - len(drawn) and len(tree) == 60 and len(tree.verify()) == 0


def test_an_interruption_between_two_clips_keeps_the_chunks_before(draw, source, monkeypatch, capsys):
    read, seen = render.read_clip, []

    def interrupted(*args):
        seen.append(args[0])
        if len(seen) == 3:
            raise KeyboardInterrupt
        return read(*args)

    monkeypatch.setattr("specimg.core.parallel.CHUNK", 2)
    with monkeypatch.context() as patch:
        patch.setattr(render, "read_clip", interrupted)
        with pytest.raises(KeyboardInterrupt):
            draw(source)
    assert "stopped: 2 of 4 pictures are drawn and kept" in capsys.readouterr().err
    monkeypatch.setattr(render, "read_clip", lambda *args: (seen.append(args[0]), read(*args))[1])
    seen.clear()
    assert len(draw(source)) == 4 and len(seen) == 2


def test_two_processes_may_draw_into_one_tree(draw, tmp_path, many, opened):
    folder = many(60)
    both = [start(folder, tmp_path / "cache", pause=0.005) for _ in range(2)]
    for process in both:
        _, error = process.communicate(timeout=120)
        assert process.returncode == 0, error.decode()
    tree = draw(folder)
    assert opened == [] and len(tree) == 60 and len(tree.verify()) == 0
    assert files_below(tree.root) == sorted(
        ["manifest.csv", "manifest.db", "renderer.json"] + [f"images/{i:04d}.wav.png" for i in range(60)]
    )
    expected = [LOOK.png(folder / f"{i:04d}.wav") for i in range(8)]
    assert all(tree.picture(f"{i:04d}.wav").read_bytes() == expected[i % 8] for i in range(60))


def test_a_drawn_png_opens_with_pillow(source, draw):
    with Image.open(draw(source).picture("cat.flac")) as image:
        assert image.mode == "L" and "specimg" in image.info


@pytest.mark.parametrize(
    "what, match", [(Mel(), r"wrap a representation: Renderer\(Mel"), ("cache", "is not a Renderer")]
)
def test_what_is_no_renderer_is_said_before_anything_is_drawn(what, match, tmp_path):
    tmp_path.joinpath("audio").mkdir()
    with pytest.raises(ValueError, match=match):
        render_tree(tmp_path / "audio", what, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_root_goes_with_a_list(tmp_path):
    with pytest.raises(ValueError, match="goes with a list of files"):
        render_tree(tmp_path, cache=tmp_path / "cache", root=tmp_path)


# ---------------------------------------------------------------------- sound that is hardly usable


@pytest.fixture
def hardly_usable(tmp_path):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(4000) / 8000)
    folder = tmp_path / "odd"
    folder.mkdir()
    for name, y in {
        "fine": tone, "anti": np.stack([tone, -tone], axis=1), "silent": 0 * tone, "off": tone + 0.3, "clipped": np.clip(9 * tone, -1, 1)
    }.items():  # fmt: skip
        sf.write(folder / f"{name}.wav", y, 8000)
    return folder


def test_hardly_usable_sound_is_counted_in_the_tree_and_noted_in_its_manifest(hardly_usable, tmp_path):
    look = Renderer(Mel(n_mels=8, n_fft=256, hop_length=64))
    for _ in range(2):  # drawn, and kept
        with pytest.warns(UserWarning) as said:
            tree = render_tree(hardly_usable, look, tmp_path / "cache", variants=[Roll(0.1)], progress=False, n_jobs=1)
        (text,) = [str(w.message) for w in said if "hardly usable" in str(w.message)]
        assert text.startswith("4 of 5 clips hold sound that is hardly usable: 1 channels cancel, ")
        for part in (
            "1 digital silence, ",
            "1 DC offset, ",
            "1 clipping, ",
            "(anti.wav)",
            "(silent.wav)",
            "Audio(channel=0)",
            "tree.table.note",
        ):
            assert part in text
    notes = dict(zip(tree.originals["path"], tree.originals["note"]))
    assert notes == {
        "fine.wav": "", "anti.wav": "channels cancel", "silent.wav": "digital silence", "off.wav": "DC offset", "clipped.wav": "clipping"
    }  # fmt: skip
    assert "10 pictures, 1 channels cancel, 1 digital silence, 1 DC offset, 1 clipping, " in repr(tree)
    manifest = pd.read_csv(tree.root / "manifest.csv", keep_default_na=False)
    assert manifest[manifest["variant"] == ""].set_index("path")["note"].to_dict() == notes
    assert (
        np.asarray(Image.open(tree.picture("anti.wav"))).max() == 0
    )  # silence, not what rounding has left at full brightness
    assert np.asarray(Image.open(tree.picture("fine.wav"))).max() == 255


def test_a_tree_from_before_there_were_notes_is_read_and_drawn_on(hardly_usable, tmp_path):
    look = Renderer(Mel(n_mels=8, n_fft=256, hop_length=64))
    with pytest.warns(UserWarning, match="hardly usable"):
        tree = render_tree(hardly_usable, look, tmp_path / "cache", progress=False, n_jobs=1)
    db = sqlite3.connect(tree.root / "manifest.db")
    with db:
        db.execute("ALTER TABLE pictures DROP COLUMN note")
    db.close()
    old = SpecTree.open(tree.root)
    assert len(old) == 5 and set(old.table["note"]) == {""}
    sf.write(hardly_usable / "new.wav", np.zeros(4000), 8000)
    with pytest.warns(UserWarning, match=r"1 of 6 clips hold sound .* 1 digital silence, .* \(new\.wav\)"):
        again = render_tree(hardly_usable, look, tmp_path / "cache", progress=False, n_jobs=1)
    assert again.root == tree.root and len(SpecTree.open(tree.root)) == 6
    assert SpecTree.open(tree.root).table.set_index("path")["note"]["new.wav"] == "digital silence"
