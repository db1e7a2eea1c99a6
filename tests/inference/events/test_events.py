"""Windows become events: worked by hand, written in the formats of other programs, and drawn over time."""

import warnings

import numpy as np
import pandas as pd
import pytest

import specimg as sp
from specimg.inference.events import list_event_formats, merge_events, plot_windows, read_events, write_events
from specimg.inference.events.formats import RAVEN
from specimg.inference.events.merging import EVENTS
from specimg.inference.events.strips import clock


def windows_of(probs, step=2.0, seconds=2.0, path="night.wav"):
    """A table of windows from {label: probabilities}."""
    n = len(next(iter(probs.values())))
    starts = np.arange(n) * step
    table = pd.DataFrame(
        {"path": path, "start": starts, "end": starts + seconds} | {f"p_{label}": p for label, p in probs.items()}
    )
    table.attrs["vocab"] = list(probs)
    return table


def spans(events):
    return events[["start", "end"]].values.tolist()


# ---------------------------------------------------------------------- merging, by hand


@pytest.mark.parametrize(
    "probs, kwargs, expected",
    [
        ([0.1, 0.2, 0.1], {}, []),
        ([0.1, 0.5, 0.1], {}, [[2, 4]]),  # at the threshold is enough
        ([0.9, 0.8, 0.7], {}, [[0, 6]]),
        ([0.1, 0.6, 0.4, 0.3, 0.29, 0.4, 0.1], {}, [[2, 8]]),  # open down to 0.3; what closed stays closed
        ([0.4, 0.4, 0.6, 0.4, 0.1], {}, [[4, 8]]),  # what comes before the opening is not part of it
        ([0.6, 0.4, 0.6, 0.4, 0.6], dict(release=0.5), [[0, 2], [4, 6], [8, 10]]),  # no hysteresis
        ([0.6, 0.4, 0.6, 0.1, 0.6], dict(release=0.4), [[0, 6], [8, 10]]),
        (
            [0.6, 0.1, 0.6, 0.1, 0.1, 0.6],
            dict(max_gap=2),
            [[0, 6], [10, 12]],
        ),  # a gap of two is bridged, one of four is not
        ([0.6, 0.1, 0.6, 0.1, 0.1, 0.6], dict(max_gap=1.9), [[0, 2], [4, 6], [10, 12]]),
        ([0.6, 0.1, 0.6, 0.6, 0.1, 0.6], dict(min_seconds=4), [[4, 8]]),
        ([0.6, 0.1, 0.6, 0.1, 0.1, 0.6], dict(min_seconds=5, max_gap=2), [[0, 6]]),  # joined first, then measured
        ([0.6, np.nan, 0.6], {}, [[0, 2], [4, 6]]),  # no answer closes
        ([0.6, np.nan, 0.6], dict(max_gap=2), [[0, 6]]),
        ([0.6, np.nan, 0.4], {}, [[0, 2]]),  # ... and does not open again below the threshold
        ([0.6, 0.5, 0.4], dict(threshold=0.55, release=0.45), [[0, 4]]),
    ],
)
def test_events_of_windows_side_by_side(probs, kwargs, expected):
    assert spans(merge_events(windows_of({"owl": probs}), **kwargs)) == expected


@pytest.mark.parametrize(
    "probs, expected",
    [
        ([0.1, 0.9, 0.9, 0.1], [[2, 9]]),  # windows of 5 s every 2 s: 2 to 7, 4 to 9
        ([0.9, 0.1, 0.9, 0.1, 0.1], [[0, 9]]),  # 0 to 5 and 4 to 9 overlap: one event
        ([0.9, 0.1, 0.1, 0.9], [[0, 5], [6, 11]]),
    ],
)
def test_events_of_windows_that_overlap(probs, expected):
    assert spans(merge_events(windows_of({"owl": probs}, step=2, seconds=5))) == expected


def test_events_that_touch_are_one():
    table = windows_of({"owl": [0.9, 0.1, 0.9]}, step=2, seconds=4)  # 0 to 4, 4 to 8
    assert spans(merge_events(table)) == [[0, 8]]


def test_numbers_of_an_event():
    event = merge_events(windows_of({"owl": [0.1, 0.5, 0.9, 0.4, 0.2]})).iloc[0]
    assert event[["path", "start", "end", "label"]].tolist() == ["night.wav", 2, 8, "owl"]
    assert (event["probability"], event["mean"], event["windows"]) == (0.9, pytest.approx(0.6), 3)
    joined = merge_events(windows_of({"owl": [0.9, 0.1, 0.7]}), max_gap=2).iloc[0]
    assert (joined["probability"], joined["mean"], joined["windows"]) == (
        0.9,
        pytest.approx(0.8),
        2,
    )  # the gap has no say


def test_recordings_and_labels_stand_by_themselves_and_in_order():
    first = windows_of({"owl": [0.9, 0.9], "fox": [0.1, 0.8]}, path="b.wav")
    second = windows_of({"owl": [0.9, 0.1], "fox": [0.9, 0.1]}, path="a.wav")
    events = merge_events(pd.concat([first, second]))
    assert events[["path", "start", "end", "label"]].values.tolist() == [
        ["b.wav", 0, 4, "owl"],
        ["b.wav", 2, 4, "fox"],
        ["a.wav", 0, 2, "fox"],
        ["a.wav", 0, 2, "owl"],
    ]


def test_windows_in_any_order_give_the_same_events():
    table = windows_of({"owl": np.random.default_rng(0).random(60)})
    pd.testing.assert_frame_equal(merge_events(table.sample(frac=1, random_state=1)), merge_events(table))


def test_a_hole_in_the_windows_ends_an_event():
    table = windows_of({"owl": [0.9, 0.9, 0.9]}).drop(1)
    assert spans(merge_events(table)) == [[0, 2], [4, 6]]
    assert spans(merge_events(table, max_gap=2)) == [[0, 6]]


def test_the_last_window_that_moved_back_ends_the_event():
    table = windows_of({"owl": [0.9, 0.9, 0.9]})
    table.loc[2, ["start", "end"]] = [3.0, 5.0]
    assert spans(merge_events(table)) == [[0, 5]]


def test_thresholds_for_each_label():
    table = windows_of({"owl": [0.6, 0.35, 0.1], "fox": [0.6, 0.7, 0.45]})
    events = merge_events(table, threshold={"owl": 0.5, "fox": 0.65}, release={"owl": 0.4, "fox": 0.45})
    assert events[["label", "start", "end"]].values.tolist() == [["owl", 0, 2], ["fox", 2, 6]]


def test_background_never_becomes_an_event_where_it_is_named():
    table = windows_of({"silence": [0.9, 0.9], "owl": [0.1, 0.6]})
    assert set(merge_events(table)["label"]) == {"silence", "owl"}
    assert set(merge_events(table, background="silence")["label"]) == {"owl"}
    assert set(merge_events(table, labels="silence")["label"]) == {"silence"}
    assert not len(merge_events(table, labels=["silence"], background=["silence"]))


def test_labels_may_have_the_names_of_columns_and_any_text():
    events = merge_events(windows_of({"label": [0.9], "path": [0.8], "p_p_": [0.7], "": [0.6]}))
    assert events["label"].tolist() == ["", "label", "p_p_", "path"]


def test_a_table_that_went_through_a_csv_still_has_its_labels(tmp_path):
    table = windows_of({"owl": [0.9, 0.1], "fox": [0.1, 0.9]})
    table.to_csv(tmp_path / "w.csv", index=False)
    pd.testing.assert_frame_equal(merge_events(pd.read_csv(tmp_path / "w.csv")), merge_events(table))


def test_no_windows_are_no_events():
    bad = pd.DataFrame({"path": ["x.wav"], "start": [np.nan], "end": [np.nan], "p_owl": [np.nan]})
    for table in (bad, bad.iloc[:0]):
        events = merge_events(table)
        assert events.columns.tolist() == EVENTS and len(events) == 0 and events["start"].dtype == float


def test_the_same_as_window_by_window():
    """Against the rule, written as a loop over windows."""
    rng = np.random.default_rng(3)
    probs = rng.random(500).round(2)
    is_open, marks = False, []
    for p in probs:
        is_open = p >= 0.7 or (is_open and p >= 0.4)
        marks.append(is_open)
    covered = np.zeros(500, bool)
    for start, end in spans(merge_events(windows_of({"owl": probs}, step=1, seconds=1), threshold=0.7, release=0.4)):
        covered[int(start) : int(end)] = True
    assert covered.tolist() == marks and 0 < sum(marks) < 500


@pytest.mark.parametrize(
    "kwargs, message",
    [
        (dict(threshold=0), "threshold=0; probabilities lie above 0"),
        (dict(threshold=1.1), "threshold=1.1; probabilities"),
        (dict(threshold=float("nan")), "threshold=nan"),
        (dict(threshold={"owl": 0.5}), r"threshold lacks 1 label \(fox\); name all of them"),
        (dict(release=0.6), "release=0.6 is above the threshold 0.5 of 'owl'; events close below"),
        (dict(release=0), "release=0; probabilities"),
        (dict(min_seconds=-1), "min_seconds=-1; give seconds"),
        (dict(max_gap=float("inf")), "max_gap=inf; give seconds"),
        (dict(labels=["owll"]), "unknown label 'owll'; did you mean 'owl'"),
        (dict(background="silense"), "unknown label 'silense'"),
    ],
)
def test_impossible_wishes_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        merge_events(windows_of({"owl": [0.9], "fox": [0.1]}), **kwargs)


def test_a_table_of_something_else_is_refused():
    with pytest.raises(
        ValueError, match=r"columns path, label; it lacks start, end, p_<label>: give what predict_windows returns"
    ):
        merge_events(pd.DataFrame({"path": [], "label": []}))


# ---------------------------------------------------------------------- files


@pytest.fixture
def events():
    table = windows_of({"owl": [0.9, 0.1, 0.6], "fox": [0.1, 0.75, 0.1]})
    table.attrs["band"] = (0.0, 8000.0)
    return merge_events(table)


def test_the_public_names():
    assert sp.merge_events is merge_events and sp.write_events is write_events


def test_formats_have_names_and_endings():
    assert list_event_formats() == {"audacity": ".txt", "csv": ".csv", "raven": ".selections.txt"}


def test_an_audacity_label_track(events, tmp_path):
    write_events(events, tmp_path / "night.txt")
    assert (
        tmp_path / "night.txt"
    ).read_bytes() == b"0.000000\t2.000000\towl\n2.000000\t4.000000\tfox\n4.000000\t6.000000\towl\n"


def test_a_raven_selection_table(events, tmp_path):
    write_events(events, tmp_path / "night.selections.txt")
    table = pd.read_csv(tmp_path / "night.selections.txt", sep="\t")
    assert (
        table.columns.tolist()
        == RAVEN
        == [
            "Selection",
            "View",
            "Channel",
            "Begin Time (s)",
            "End Time (s)",
            "Low Freq (Hz)",
            "High Freq (Hz)",
            "Label",
            "Score",
        ]
    )
    assert table.values.tolist() == [
        [1, "Spectrogram 1", 1, 0, 2, 0, 8000, "owl", 0.9],
        [2, "Spectrogram 1", 1, 2, 4, 0, 8000, "fox", 0.75],
        [3, "Spectrogram 1", 1, 4, 6, 0, 8000, "owl", 0.6],
    ]
    write_events(events, tmp_path / "band.txt", "raven", band=(200, 4000))
    assert (
        pd.read_csv(tmp_path / "band.txt", sep="\t")[["Low Freq (Hz)", "High Freq (Hz)"]].values.tolist()
        == [[200, 4000]] * 3
    )


def test_a_csv_comes_back(events, tmp_path):
    write_events(events, tmp_path / "events.csv")
    pd.testing.assert_frame_equal(read_events(tmp_path / "events.csv"), events)
    write_events(events.iloc[:0], tmp_path / "none.csv")
    pd.testing.assert_frame_equal(read_events(tmp_path / "none.csv"), events.iloc[:0], check_index_type=False)


def test_a_folder_takes_one_file_a_recording(events, tmp_path):
    """Two recordings of one name, in two folders; names below the folder that all recordings are in."""
    three = pd.concat([events.assign(path=path) for path in ("in/mon/night.wav", "in/tue/night.wav", "in/dusk.wav")])
    write_events(three, f"{tmp_path}/labels/", "audacity")
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.*")) == [
        "labels/dusk.wav.txt",
        "labels/mon/night.wav.txt",
        "labels/tue/night.wav.txt",
    ]
    assert (tmp_path / "labels/mon/night.wav.txt").read_text().count("\n") == 3
    write_events(events.assign(path="../../outside.wav"), tmp_path / "labels", "raven", band=(0, 1))
    assert (tmp_path / "labels/outside.wav.selections.txt").exists()
    write_events(events.iloc[:0], tmp_path / "labels", "csv")  # nothing to write
    with pytest.raises(ValueError, match="labels' does not determine the format of its files; end it in"):
        write_events(events, tmp_path / "labels")


ODD = [
    "=1+1",
    "+cmd|' /C calc'!A0",
    "a,b",
    'say "oh"',
    "two\nlines",
    "win\r\ndows",
    "old\rmac",
    "tab\tbed",
    "NA",
    "007",
    "",
    " blank ",
    "\u2028",
    "Käuzchen",
]


def test_odd_labels_and_names_come_back_from_a_csv_as_they_are(events, tmp_path):
    events = pd.concat([events.iloc[:1]] * len(ODD), ignore_index=True).assign(
        label=ODD, path=[f"{label}.wav" for label in ODD]
    )
    events.loc[0, "path"] = "not-utf-8-\udcff.wav"
    write_events(events, tmp_path / "odd.csv")
    assert read_events(tmp_path / "odd.csv").values.tolist() == events.values.tolist()
    assert b'"=1+1"' in (tmp_path / "odd.csv").read_bytes()  # as it is, in quotes
    assert b"not-utf-8-\xff.wav" in (tmp_path / "odd.csv").read_bytes()


@pytest.mark.parametrize("name, columns", [("audacity", 3), ("raven", 9)])
def test_odd_labels_keep_to_their_column(events, tmp_path, name, columns):
    events = pd.concat([events.iloc[:1]] * len(ODD), ignore_index=True).assign(label=ODD)
    write_events(events, tmp_path / "odd", name, band=(0, 100))
    lines = (tmp_path / "odd").read_bytes().decode().splitlines()  # splits at every line end Unicode has
    assert len(lines) == len(ODD) + (name == "raven") and {line.count("\t") for line in lines} == {columns - 1}
    labels = [line.split("\t")[2 if name == "audacity" else 7] for line in lines[name == "raven" :]]
    assert labels[4:9] == ["two lines", "win dows", "old mac", "tab bed", "NA"] and labels[0] == "=1+1"


def test_what_cannot_be_written_is_refused_and_leaves_nothing(events, tmp_path):
    two = pd.concat([events, events.assign(path="other.wav")])
    without = events.copy()
    without.attrs = {}
    for table, name, kwargs, message in [
        (
            events,
            "events.xls",
            {},
            r"does not determine how events are written; end it in .txt \(audacity\), .csv \(csv\), .selections.txt \(raven\), or",
        ),
        (events, "a.txt", dict(format="ravn"), "unknown format of events 'ravn'; did you mean 'raven'"),
        (
            two,
            "a.txt",
            {},
            r"an Audacity label track belongs to one recording, and these events are of 2 \(night.wav, other.wav\)",
        ),
        (two, "a.selections.txt", {}, "a Raven selection table belongs to one recording"),
        (without, "a.selections.txt", {}, r"give band=\(low, high\) in Hz"),
        (events, "a.selections.txt", dict(band=(5000, 100)), "low below high"),
        (events[["path", "start"]], "a.csv", {}, "it lacks end, label, probability: give what merge_events returns"),
    ]:
        with pytest.raises(ValueError, match=message):
            write_events(table, tmp_path / name, **kwargs)
    assert not list(tmp_path.iterdir())


HEAD = ",".join(EVENTS) + "\n"


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "it lacks path, start, end"),
        ("path,label\n", "it lacks start, end, probability"),
        (HEAD + "a,x,1,owl,1,1,1\n", "could not convert"),
        (HEAD + "a,1,2\n", "NoneType"),
        (HEAD + '"a\n', "unexpected end"),
    ],
)
def test_a_csv_of_something_else_is_refused(text, message, tmp_path):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(ValueError, match=f"is not a csv of events .*{message}"):
        read_events(tmp_path / "x.csv")


# ---------------------------------------------------------------------- the picture


@pytest.mark.parametrize(
    "seconds, said",
    [(0, "0:00:00"), (59.96, "0:01:00"), (3725, "1:02:05"), (36000, "10:00:00"), (0.5, "0:00:00.5"), (-5, "-0:00:05")],
)
def test_times_on_the_axis(seconds, said):
    assert clock(seconds) == said


def strips(fig):
    from matplotlib.collections import QuadMesh

    return [c for c in fig.axes[0].collections if isinstance(c, QuadMesh)]


def test_a_strip_for_each_label_over_hours():
    rng = np.random.default_rng(0)
    table = windows_of({label: rng.random(7200) for label in ("owl", "fox", "rain")}, step=5, seconds=5)
    fig = plot_windows(table, labels=["rain", "owl"], events=merge_events(table, 0.999))
    ax = fig.axes[0]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["rain", "owl"] and ax.get_xlim() == (0, 36000)
    fig.canvas.draw()
    marks = [t.get_text() for t in ax.get_xticklabels() if 0 <= t.get_position()[0] <= 36000]
    assert marks == ["0:00:00", "2:00:00", "4:00:00", "6:00:00", "8:00:00", "10:00:00"]
    for strip, label in zip(strips(fig), ("rain", "owl")):  # several windows share a column: the highest is shown
        assert strip.get_array().size == 1800
        assert np.asarray(strip.get_array()).ravel()[:2] == pytest.approx(
            table[f"p_{label}"].to_numpy()[:8].reshape(2, 4).max(axis=1)
        )


def test_windows_without_an_answer_are_grey_and_edges_lie_between_windows():
    table = windows_of({"owl": [0.1, np.nan, 0.9]}, step=2, seconds=4)  # middles at 2, 4 and 6
    (strip,) = strips(plot_windows(table))
    assert np.ma.getmaskarray(strip.get_array()).ravel().tolist() == [False, True, False]
    assert strip.get_coordinates()[0, :, 0].tolist() == [0, 3, 5, 8]


def test_the_labels_shown_are_those_of_events_and_the_most_frequent():
    table = windows_of({f"l{i:02d}": [0.5 if i == j else 0.1 for j in (12, 12, 12, 3, 3, 7)] for i in range(20)})
    names = lambda fig: [t.get_text() for t in fig.axes[0].get_yticklabels()]
    assert names(plot_windows(table))[:3] == ["l12", "l03", "l07"] and len(names(plot_windows(table))) == 8
    table.loc[5, "p_l19"] = 0.49
    assert names(plot_windows(table, events=merge_events(table, 0.49, labels=["l19"])))[:2] == ["l19", "l12"]


def test_axes_may_be_given():
    from specimg.core.figures import new_figure

    fig = new_figure(5, 2)
    assert plot_windows(windows_of({"owl": [0.1]}), ax=fig.subplots()) is fig
    fig.canvas.draw()


def test_a_picture_shows_one_recording():
    one, other = windows_of({"owl": [0.1]}), windows_of({"owl": [0.2]}, path="b.wav")
    with pytest.raises(ValueError, match=r"of 2 recordings \(night.wav, b.wav\), and a picture shows one"):
        plot_windows(pd.concat([one, other]))
    with pytest.raises(ValueError, match="no windows to show"):
        plot_windows(one.iloc[:0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_windows(windows_of({"owl": [np.nan]})).canvas.draw()  # nothing but grey
