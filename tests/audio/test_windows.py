"""Windows of recordings: their starts and ends to the microsecond, what becomes of rests, and a class of silence."""

import numpy as np
import pandas as pd
import pytest

from specimg.audio import Audio
from specimg.audio.windows import cut_windows, silence_clips
from specimg.core.files import OutsideError
from specimg.labels.folds import add_folds, split_valid
from specimg.render.renderer import Renderer
from specimg.render.tree import render_tree
from specimg.spectrogram import Mel
from specimg.spectrogram.picture import describe

SR = 8000
LOOK = Renderer(Mel(n_mels=16, n_fft=256, hop_length=100))


@pytest.fixture
def folder(tmp_path, write_wav):
    """Recordings of 10, 4 and 1.5 seconds, and of 4 seconds and two hundredths."""
    rng = np.random.default_rng(0)
    for name, seconds in [("ten.wav", 10), ("four.wav", 4), ("short.wav", 1.5), ("more/four.flac", 4.02)]:
        write_wav(tmp_path / "audio" / name, (0.1 * rng.standard_normal(round(seconds * SR))).astype("float32"), SR)
    return tmp_path / "audio"


def spans(table, path):
    return table.loc[table["path"] == path, ["start", "end"]].values.tolist()


def widths(tree):
    return {describe(tree.images / name).width for name in tree.table["picture"]}


# ---------------------------------------------------------------------- windows


@pytest.mark.parametrize(
    "overlap, rest, expected",
    [
        (0, "drop", [[0, 4], [4, 8]]),
        (0, "keep", [[0, 4], [4, 8], [8, 10]]),
        (0, "shift", [[0, 4], [4, 8], [6, 10]]),
        (2, "drop", [[0, 4], [2, 6], [4, 8], [6, 10]]),
        (2, "keep", [[0, 4], [2, 6], [4, 8], [6, 10]]),  # nothing is left over
        (2, "shift", [[0, 4], [2, 6], [4, 8], [6, 10]]),
        (3.5, "keep", [[i / 2, 4 + i / 2] for i in range(13)]),
        (1, "drop", [[0, 4], [3, 7], [6, 10]]),
        (2.5, "keep", [[0, 4], [1.5, 5.5], [3, 7], [4.5, 8.5], [6, 10]]),
        (0.5, "keep", [[0, 4], [3.5, 7.5], [7, 10]]),
        (0.5, "shift", [[0, 4], [3.5, 7.5], [6, 10]]),
    ],
)
def test_starts_and_ends(folder, overlap, rest, expected):
    assert spans(cut_windows(["ten.wav"], 4, overlap, folder=folder, rest=rest), "ten.wav") == expected


def test_steps_that_floats_cannot_hold_lose_no_window(folder):
    table = cut_windows(["ten.wav"], 0.3, 0.2, folder=folder)
    assert len(table) == 98 and table["start"].tolist() == [round(0.1 * i, 6) for i in range(98)]
    assert table["end"].iloc[-1] == 10.0
    assert len(cut_windows(["ten.wav"], 0.1, folder=folder)) == 100


@pytest.mark.parametrize("rest, expected", [("keep", [[0, 1.5]]), ("shift", [[0, 1.5]])])
def test_a_recording_shorter_than_a_window_is_kept_as_it_is(folder, rest, expected):
    assert spans(cut_windows(folder, 4, rest=rest), "short.wav") == expected


def test_what_gives_no_window_is_counted(folder):
    message = r"1 of 4 clips shorter than a window of 4 s and left out \(short.wav\); rest='keep' or 'shift'"
    with pytest.warns(UserWarning, match=message) as seen:
        table = cut_windows(folder, 4)
    assert seen[0].filename == __file__
    assert table["path"].tolist() == ["four.wav", "more/four.flac", "ten.wav", "ten.wav"]
    with pytest.warns(UserWarning, match=r"4 of 4 clips shorter .*\(four.wav, more/four.flac, short.wav, ...\)"):
        assert len(cut_windows(folder, 60)) == 0


@pytest.mark.parametrize("rest", ["keep", "shift"])
def test_a_crumb_at_the_end_is_no_rest(folder, rest):
    assert spans(cut_windows(folder, 4, rest=rest), "more/four.flac") == [[0, 4]]
    assert len(spans(cut_windows(folder, 1, rest=rest), "more/four.flac")) == 5


def test_windows_inherit_the_columns_of_their_row_and_spans_are_cut_for_themselves(folder):
    table = pd.DataFrame(
        {
            "path": ["ten.wav", "ten.wav", "four.wav"],
            "label": ["a", "b", ["a", "b"]],
            "start": [0.5, 5, np.nan],
            "end": [4.75, np.nan, np.nan],
            "group": ["x", "x", "y"],
        },
        index=[7, 8, 9],
    )
    before = table.copy()
    cut = cut_windows(table, 2, folder=folder)
    assert cut.to_dict("list") == {
        "path": ["ten.wav"] * 4 + ["four.wav"] * 2,
        "label": ["a", "a", "b", "b", ["a", "b"], ["a", "b"]],
        "start": [0.5, 2.5, 5.0, 7.0, 0.0, 2.0],
        "end": [2.5, 4.5, 7.0, 9.0, 2.0, 4.0],
        "group": ["x"] * 4 + ["y"] * 2,
    }
    pd.testing.assert_frame_equal(table, before)


def test_windows_are_drawn_where_they_lie(folder, tmp_path):
    look = LOOK.replace(audio=Audio(duration=1.0))
    table = cut_windows(["ten.wav", "short.wav"], 1, 0.25, folder=folder, rest="keep")
    tree = render_tree(folder, look, tmp_path / "cache", segments=table, n_jobs=1)
    assert len(tree) == len(table) == 13 + 2
    assert describe(tree.picture("ten.wav", start=0.75)).begin == 0.75
    assert tree.picture("short.wav", start=0.75).read_bytes() == look.png(folder / "short.wav", start=0.75, end=1.5)
    assert widths(tree) == {81}
    assert widths(render_tree(folder, LOOK, tmp_path / "cache", segments=table, n_jobs=1)) == {61, 81}


def test_recordings_that_cannot_be_read_keep_their_row_and_drawing_says_why(folder, tmp_path):
    (folder / "broken.wav").write_bytes(b"no sound at all")
    table = cut_windows(["four.wav", "broken.wav", "none.wav"], 2, folder=folder)
    assert table["path"].tolist() == ["four.wav", "four.wav", "broken.wav", "none.wav"]
    assert table["start"].isna().tolist() == [False, False, True, True]
    with pytest.warns(UserWarning, match="2 of 4 clips could not be drawn"):
        tree = render_tree(folder, LOOK, tmp_path / "cache", segments=table, n_jobs=1)
    assert tree.failures["path"].tolist() == ["broken.wav", "none.wav"]
    behind = cut_windows(pd.DataFrame({"path": ["four.wav"], "start": [6.0], "end": [8.0]}), 1, folder=folder)
    assert spans(behind, "four.wav") == [[6, 8]]


def test_windows_of_a_recording_stay_on_one_side(folder):
    table = cut_windows(folder, 1, rest="keep")
    table["label"] = np.where(np.arange(len(table)) % 2, "a", "b")
    for sides in (
        add_folds(table, 3).groupby("path")["fold"],
        table.assign(valid=split_valid(table, 0.4)).groupby("path")["valid"],
    ):
        assert sides.nunique().max() == 1


@pytest.mark.parametrize(
    "args, message",
    [
        (dict(seconds=0), "seconds=0; give the length of a window, above 0"),
        (dict(seconds=np.inf), "seconds=inf"),
        (dict(seconds=2, overlap=2), "overlap=2; give seconds from 0 up to, but not as long as, the window of 2 s"),
        (dict(seconds=2, overlap=-1), "overlap=-1"),
        (dict(seconds=2, rest="pad"), "unknown rest 'pad'; choose one of drop, keep, shift"),
        (dict(seconds=2, clips=pd.DataFrame({"file": ["a"]})), "the table has the columns file; it needs 'path'"),
        (dict(seconds=2, clips=pd.DataFrame({"path": ["a"], "start": [0]})), "a span needs both"),
        (dict(seconds=2, clips=[]), "the table has no rows"),
        (dict(seconds=2, clips="nowhere"), "'nowhere' is not a folder"),
    ],
)
def test_windows_that_cannot_be_cut(folder, args, message):
    with pytest.raises(ValueError, match=message):
        cut_windows(**{"clips": ["ten.wav"], "folder": folder, **args})


def test_no_name_leads_out_of_the_folder(folder):
    with pytest.raises(OutsideError):
        cut_windows(["../secret.wav"], 1, folder=folder)


# ---------------------------------------------------------------------- silence


def test_silence_is_cut_side_by_side_from_all_there_is(folder):
    with pytest.warns(UserWarning, match=r"1 recording shorter than 2 s or not readable, not used \(short.wav\)"):
        table = silence_clips(folder, seconds=2)
    assert list(table) == ["path", "start", "end", "label"] and set(table["label"]) == {"silence"}
    assert table["path"].value_counts().to_dict() == {"ten.wav": 5, "four.wav": 2, "more/four.flac": 2}
    assert spans(table, "ten.wav") == [[0, 2], [2, 4], [4, 6], [6, 8], [8, 10]]
    assert spans(table, "more/four.flac") == [[0, 2], [2.02, 4.02]]


@pytest.mark.parametrize("n", [1, 2, 7, 9, 40])
def test_silence_is_spread_over_recordings_by_their_length(folder, n):
    (folder / "short.wav").unlink()
    table = silence_clips(folder, n, seconds=2, label="quiet")
    assert len(table) == n and set(table["label"]) == {"quiet"}
    share = n * 10 / 18.02
    assert abs((table["path"] == "ten.wav").sum() - share) < 1
    assert (table["end"] - table["start"]).round(6).eq(2).all() and table["start"].min() == 0
    lengths = {"ten.wav": 10, "four.wav": 4, "more/four.flac": 4.02}
    assert all(row.end <= lengths[row.path] + 1e-6 for row in table.itertuples())
    pd.testing.assert_frame_equal(table, silence_clips(folder, n, seconds=2, label="quiet"))


def test_names_of_silence_are_below_a_root_so_that_it_joins_the_other_classes(folder, tmp_path):
    table = silence_clips(folder / "more", 2, seconds=1, root=folder)
    assert table["path"].tolist() == ["more/four.flac"] * 2
    both = pd.concat([pd.DataFrame({"path": ["ten.wav"], "label": ["word"]}), table], ignore_index=True)
    tree = render_tree(folder, LOOK, tmp_path / "cache", segments=both, n_jobs=1)
    assert len(tree) == 3 and tree.picture("ten.wav").name == "ten.wav.png"


def test_broken_background_is_not_used(folder):
    (folder / "ten.wav").write_bytes((folder / "ten.wav").read_bytes()[:-5000])
    with pytest.warns(
        UserWarning, match=r"2 recordings shorter than 3 s or not readable, not used \(short.wav, ten.wav\)"
    ) as seen:
        assert set(silence_clips(folder, seconds=3)["path"]) == {"four.wav", "more/four.flac"}
    assert seen[0].filename == __file__


@pytest.mark.parametrize(
    "args, message",
    [
        (dict(seconds=60), "holds no recording of 60 s or more that can be read; there is nothing to cut silence from"),
        (dict(n=0), "n=0; give the number of windows, 1 or more, or None"),
        (dict(seconds=-1), "seconds=-1; give the length of a window"),
    ],
)
def test_silence_that_cannot_be_cut(folder, args, message):
    with pytest.raises(ValueError, match=message):
        silence_clips(folder, **args)
    with pytest.raises(ValueError, match="is not a folder"):
        silence_clips(folder / "none")
    with pytest.raises(OutsideError):
        silence_clips(folder, root=folder / "more")
