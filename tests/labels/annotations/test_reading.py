"""Annotations of other programs, as these really write them, become one table; what write_events writes comes back equal."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

import specimg as sp
from specimg.labels import list_annotation_formats, read_annotations

CORE = ["path", "start", "end", "low_hz", "high_hz", "label"]
RAVEN = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)"


@pytest.fixture
def write(tmp_path):
    """write(name, text, encoding="utf-8") -> path of a new file."""

    def put(name, text, encoding="utf-8"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return path

    return put


def rows(table, *columns):
    return table[list(columns or CORE)].replace({np.nan: None}).values.tolist()


def read_quietly(path, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_annotations(path, *args, **kwargs)


def test_the_public_names_and_formats():
    assert sp.read_annotations is read_annotations
    assert list(list_annotation_formats()) == ["audacity", "csv", "json", "raven", "textgrid"]


# ---------------------------------------------------------------------- Raven


def test_a_raven_table_without_a_file_column(write):
    path = write(
        "night.Table.1.selections.txt", f"{RAVEN}\tSpecies\n1\tSpectrogram 1\t1\t1.5\t2.25\t800\t4000.5\towl\n"
    )
    table = read_quietly(path, recordings="far/night.wav")
    assert rows(table) == [["far/night.wav", 1.5, 2.25, 800, 4000.5, "owl"]]
    assert table.columns.tolist() == [*CORE, "annotator", "probability", "Selection", "Channel"]


def test_waveform_and_spectrogram_views_are_one_selection(write):
    text = (
        f"{RAVEN}\tAnnotation\n"
        "1\tWaveform 1\t1\t1.0\t2.0\t\t\towl\n1\tSpectrogram 1\t1\t1.0\t2.0\t200\t900\towl\n"
        "2\tWaveform 1\t1\t3.0\t4.0\t\t\tfox\n"  # in one view only
        "3\tSpectrogram 1\t1\t5.0\t6.0\t100\t300\towl\n3\tSpectrogram 2\t2\t5.0\t6.0\t100\t300\towl\n"  # two channels
        "3\tSpectrogram 1\t1\t5.0\t6.0\t100\t300\tfox\n"  # numbers that a script gave
    )
    assert rows(read_quietly(write("a.txt", text), recordings="a.wav")) == [
        ["a.wav", 1, 2, 200, 900, "owl"],
        ["a.wav", 3, 4, None, None, "fox"],
        ["a.wav", 5, 6, 100, 300, "owl"],
        ["a.wav", 5, 6, 100, 300, "fox"],
    ]


def test_several_recordings_played_as_one_have_their_own_times(write):
    text = (
        f"{RAVEN}\tBegin File\tFile Offset (s)\tSpecies\tQuality\n"
        "1\tSpectrogram 1\t1\t1\t2\t0\t100\ta.wav\t1\towl\t007\n2\tSpectrogram 1\t1\t61\t62.5\t0\t100\tb.wav\t1\tfox\tgood\n"
    )
    table = read_quietly(write("all.txt", text))
    assert rows(table, "path", "start", "end", "label") == [["a.wav", 1, 2, "owl"], ["b.wav", 1, 2.5, "fox"]]
    assert table["Quality"].tolist() == ["007", "good"] and table["Selection"].tolist() == [1, 2]


def test_several_recordings_without_their_offsets_are_said(write):
    text = f"{RAVEN}\tBegin File\tSpecies\n1\t\t1\t1\t2\t0\t9\ta.wav\towl\n2\t\t1\t61\t62\t0\t9\tb.wav\tfox\n"
    with pytest.warns(UserWarning, match=r"2 recordings without the column 'File Offset \(s\)'.*add that measurement"):
        assert read_annotations(write("all.txt", text))["start"].tolist() == [1, 61]


def test_recordings_of_another_machine_are_found_by_name(write, tmp_path):
    for name in ("mon/night.wav", "tue/night.wav", "dawn.flac"):
        write(f"rec/{name}", b"")
    text = (
        f"{RAVEN}\tBegin Path\tSpecies\n1\t\t1\t1\t2\t0\t9\tD:\\field\\tue\\night.wav\towl\n"
        "2\t\t1\t3\t4\t0\t9\t/mnt/dawn.wav\tfox\n3\t\t1\t5\t6\t0\t9\t/mnt/gone.wav\tfox\n"
    )
    with pytest.warns(UserWarning) as said:
        table = read_annotations(write("all.txt", text), recordings=tmp_path / "rec")
    assert rows(table, "path", "start") == [["tue/night.wav", 1], ["dawn.flac", 3]]
    assert "1 annotation of recordings that recordings= lacks left out (/mnt/gone.wav)" in [
        str(w.message) for w in said
    ]
    mapping = {"night.wav": "x.wav", "dawn.wav": "y.wav", "gone.wav": "z.wav"}
    with pytest.warns(UserWarning, match="File Offset"):
        assert read_annotations(tmp_path / "all.txt", recordings=mapping)["path"].tolist() == [
            "x.wav",
            "y.wav",
            "z.wav",
        ]


def test_capitals_in_names_matter_only_where_several_differ_by_them(write):
    path = write("all.txt", f"{RAVEN}\tBegin File\tSpecies\n1\t\t1\t1\t2\t0\t9\tNIGHT.WAV\towl\n")
    assert read_quietly(path, recordings=["mon/night.wav", "x.wav"])["path"].tolist() == ["mon/night.wav"]
    assert read_quietly(path, recordings=["night.wav", "NIGHT.WAV"])["path"].tolist() == ["NIGHT.WAV"]


def test_a_name_that_fits_several_recordings_is_refused(write):
    path = write("all.txt", f"{RAVEN}\tBegin File\tSpecies\n1\t\t1\t1\t2\t0\t9\tnight.wav\towl\n")
    with pytest.raises(ValueError, match=r"'night.wav' may be each of 2 recordings \(mon/night.wav, tue/night.wav\)"):
        read_annotations(path, recordings=["mon/night.wav", "tue/night.wav"])
    with pytest.raises(ValueError, match=r"none of 1 annotation is of a recording .* \(they name night.wav\)"):
        read_annotations(path, recordings=["a.wav", "b.wav"])


def test_the_label_is_in_the_column_that_is_named(write):
    path = write("a.txt", f"{RAVEN}\tNotes\tKind\n1\t\t1\t1\t2\t0\t9\tloud\towl\n")
    with pytest.raises(
        ValueError, match=r"a.txt' has the columns .*Notes, Kind, and none is known to hold labels.*label_col="
    ):
        read_annotations(path, recordings="a.wav")
    assert read_quietly(path, recordings="a.wav", label_col="Kind")[["label", "Notes"]].values.tolist() == [
        ["owl", "loud"]
    ]
    assert read_quietly(path, recordings="a.wav", label="whale")["label"].tolist() == ["whale"]
    with pytest.raises(ValueError, match="unknown column in '.*a.txt' 'Kint'; did you mean 'Kind'"):
        read_annotations(path, recordings="a.wav", label_col="Kint")


def test_quotation_marks_joined_tables_blank_lines_and_windows_text(write):
    text = (
        f'{RAVEN}\tSpecies\r\n1\t\t1\t1\t2\t0\t9\tsay "oh\r\n\r\n{RAVEN}\tSpecies\r\n2\t\t1\t3\t4\t0\t9\tKäuzchen\r\n'
    )
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"):
        assert read_quietly(write("a.txt", text, encoding), recordings="a.wav")["label"].tolist() == [
            'say "oh',
            "Käuzchen",
        ]


# ---------------------------------------------------------------------- Audacity


def test_a_label_track_with_points_frequencies_and_decimal_commas(write):
    text = (
        "0.500000\t1.500000\tdog\n\\\t200.0\t900.0\n2,25\t2,25\tclick\n3.0\t4.0\t\n\\\t-1.000000\t300.0\n5\t6\tNA\r\n"
    )
    with pytest.warns(UserWarning, match="1 of 4 annotations without a label; label= gives them one"):
        table = read_annotations(write("a.txt", text), recordings="a.wav")
    assert rows(table, "start", "end", "low_hz", "high_hz", "label") == [
        [0.5, 1.5, 200, 900, "dog"],
        [2.25, 2.25, None, None, "click"],
        [3, 4, None, 300, ""],
        [5, 6, None, None, "NA"],
    ]


def test_a_track_belongs_to_the_recording_beside_it(write, tmp_path):
    sf.write(tmp_path / "night.flac", np.zeros(10), 8000)
    assert read_quietly(write("night.txt", "0\t1\towl\n"))["path"].tolist() == [str(tmp_path / "night.flac")]
    assert read_quietly(write("night_labels.txt", "0\t1\towl\n"))["path"].tolist() == [str(tmp_path / "night.flac")]
    assert read_quietly(write("dawn.wav.txt", "0\t1\towl\n"))["path"].tolist() == ["dawn.wav"]
    with pytest.raises(
        ValueError, match="dusk.txt' does not name its recording, and none of this name lies beside it; give"
    ):
        read_annotations(write("dusk.txt", "0\t1\towl\n"))


def test_a_folder_of_tracks(write, tmp_path):
    for name in ("mon/night.wav", "tue/night.wav", "dawn.wav"):
        write(f"rec/{name}", b"")
    write("lab/mon/night.txt", "0\t1\towl\n")
    write("lab/tue/night.txt", "0\t2\tfox\n")
    write("lab/dawn.txt", "")  # nobody was heard
    write("lab/README.txt", "how we listened\n")
    write("lab/package.json", '{"name": "labels"}')
    write("lab/.hidden.txt", "no\n")
    with pytest.warns(
        UserWarning, match=r"2 files below '.*lab' without annotations passed over \(README.txt, package.json\)"
    ):
        table = read_annotations(tmp_path / "lab", recordings=tmp_path / "rec")
    assert rows(table, "path", "end", "label") == [["mon/night.wav", 1, "owl"], ["tue/night.wav", 2, "fox"]]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no annotations below '.*empty'; their files end in one of .txt, .csv"):
        read_annotations(tmp_path / "empty")
    assert len(read_quietly(tmp_path / "lab" / "dawn.txt", recordings=tmp_path / "rec")) == 0


# ---------------------------------------------------------------------- BirdNET, Kaleidoscope, crowsetta

ROBIN = ["/data/mon/a.wav", 3.0, 6.0, "European Robin", 0.8123]
BIRDNET = {
    "a.BirdNET.results.csv": "Start (s),End (s),Scientific name,Common name,Confidence,File\n"
    "3.0,6.0,Erithacus rubecula,European Robin,0.8123,/data/mon/a.wav\n",
    "BirdNET_SelectionTable.txt": f"{RAVEN}\tCommon Name\tSpecies Code\tConfidence\tBegin Path\tFile Offset (s)\n"
    "1\tSpectrogram 1\t1\t63.0\t66.0\t0\t15000\tEuropean Robin\teurrob1\t0.8123\t/data/mon/a.wav\t3.0\n"
    "2\tSpectrogram 1\t1\t0\t3\t0\t15000\tnocall\tnocall\t1.0\t/data/mon/b.wav\t0\n",
    "BirdNET_Kaleidoscope2.csv": "INDIR,FOLDER,IN FILE,OFFSET,DURATION,scientific_name,TOP1MATCH,confidence\n"
    "D:\\data,mon,a.wav,3.0,3.0,,European Robin,0.8123\n",
    "BirdNET_RTable.csv": "filepath,start,end,scientific_name,common_name,confidence,lat,lon,week,overlap,sensitivity,min_conf,"
    "species_list,model\n/data/mon/a.wav,3.0,6.0,Erithacus rubecula,European Robin,0.8123,-1,-1,-1,0.0,1.0,0.1,,V2.4\n",
    "BirdNET_Kaleidoscope.csv": "INDIR,FOLDER,IN FILE,OFFSET,DURATION,scientific_name,common_name,confidence,lat,lon,week,overlap,"
    "sensitivity\n/data,mon,a.wav,3.0,3.0,Erithacus rubecula,European Robin,0.8123,-1,-1,-1,0.0,1.0\n",
}


@pytest.mark.parametrize("name", BIRDNET)
def test_results_of_birdnet(write, name):
    table = read_quietly(write(name, BIRDNET[name]), recordings=["/data/mon/a.wav", "/data/tue/a.wav"])
    assert rows(table, "path", "start", "end", "label", "probability") == [ROBIN]


def test_labels_of_birdnet_for_audacity(write):
    path = write("a.BirdNET.results.txt", "3.0\t6.0\tErithacus rubecula, European Robin\t0.8123\n")
    table = read_quietly(path, recordings="a.wav")
    assert rows(table, "label", "probability") == [["Erithacus rubecula, European Robin", 0.8123]]


def test_the_scientific_name_may_be_the_label(write):
    path = write("a.csv", BIRDNET["a.BirdNET.results.csv"])
    assert read_quietly(path, label_col="Scientific name")["label"].tolist() == ["Erithacus rubecula"]


@pytest.mark.parametrize(
    "text",
    [
        "label,onset_s,offset_s,onset_sample,offset_sample,notated_path,annot_path,sequence,annotation\nowl,1.5,2.5,12000,20000,a.wav,a.csv,0,0\n",
        "filename\tonset\toffset\tevent_label\na.wav\t1.5\t2.5\towl\n",  # of the DCASE challenges
        "Audiofilename;Starttime;Endtime;Class\na.wav;1,5;2,5;owl\n",
        "recording,name,start_time,end_time,score\na.wav,owl,1.5,2.5,0.9\n",  # HawkEars
        "File;Start (sec);End (sec);Class;Probability\na.wav;1,5;2,5;owl;0,42\n",
        '"path","begin","duration","species"\n"a.wav","00:00:01.5","1","owl"\n',
    ],
)
def test_tables_of_others(write, text):
    assert rows(read_quietly(write("x.csv", text)), "path", "start", "end", "label") == [["a.wav", 1.5, 2.5, "owl"]]


def test_automatic_labels_count_where_nobody_wrote_one(write):
    """A table of Kaleidoscope for bats: nothing in MANUAL ID yet; Fmin and Fmax are kHz."""
    text = "INDIR,FOLDER,IN FILE,OFFSET,DURATION,AUTO ID*,Fmax,Fmin,MANUAL ID\nD:\\bats,night1,a.wav,0,5,PIPPIP,55.2,45.1,{}\n"
    table = read_quietly(write("id.csv", text.format("")))
    assert rows(table) == [["D:\\bats/night1/a.wav", 0, 5, None, None, "PIPPIP"]]
    assert read_quietly(write("id.csv", text.format("PIPPYG")))["label"].tolist() == ["PIPPYG"]


# ---------------------------------------------------------------------- Praat

LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 3.5
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "birds"
        xmin = 0
        xmax = 3.5
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 1
            text = ""
        intervals [2]:
            xmin = 1
            xmax = 2.5
            text = "the ""owl"" 7"
        intervals [3]:
            xmin = 2.5
            xmax = 3.5
            text = "Käuzchen"
    item [2]:
        class = "TextTier"
        name = "clicks"
        xmin = 0
        xmax = 3.5
        points: size = 1
        points [1]:
            number = 0.25
            mark = "click"
"""
SHORT = """File type = "ooTextFile"
Object class = "TextGrid"

0
3.5
<exists>
2
"IntervalTier"
"birds"
0
3.5
3
0
1
""
1
2.5
"the ""owl"" 7"
2.5
3.5
"Käuzchen"
"TextTier"
"clicks"
0
3.5
1
0.25
"click"
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("text", [LONG, SHORT], ids=["long", "short"])
def test_a_textgrid_in_both_forms(write, text, encoding):
    table = read_quietly(write("a.TextGrid", text, encoding), recordings="a.wav")
    assert rows(table, "start", "end", "label", "tier") == [
        [1, 2.5, 'the "owl" 7', "birds"],
        [2.5, 3.5, "Käuzchen", "birds"],
        [0.25, 0.25, "click", "clicks"],
    ]


@pytest.mark.parametrize(
    "text, message",
    [
        (
            SHORT.split('"IntervalTier"')[0] + '"IntervalTier"\n"birds"\n0',
            "the file ends where the end of a tier should be",
        ),
        (SHORT.replace("2.5\n3.5", "x"), "'Käuzchen' stands where the start of interval 3 of tier 'birds' should be"),
        (SHORT.replace("TextTier", "PitchTier"), "a tier of the class 'PitchTier'; IntervalTier and TextTier are"),
    ],
)
def test_a_damaged_textgrid_says_where(write, text, message):
    with pytest.raises(ValueError, match=f"a.TextGrid' is not a TextGrid: .*{message}"):
        read_annotations(write("a.TextGrid", text), recordings="a.wav")


# ---------------------------------------------------------------------- Label Studio


def region(start, end, *labels, **more):
    return {"type": "labels", "value": {"start": start, "end": end, "channel": 0, "labels": list(labels)}, **more}


def test_exports_of_label_studio(write):
    tasks = [
        {
            "id": 7,
            "data": {"audio": "/data/upload/2/1f2e3d4c-night.wav", "site": "north"},
            "annotations": [
                {
                    "completed_by": {"id": 3, "email": "a@b.c"},
                    "was_cancelled": False,
                    "result": [region(1, 2.5, "owl", "fox")],
                },
                {"completed_by": 4, "was_cancelled": True, "result": [region(0, 9, "mistake")]},
            ],
            "predictions": [{"result": [region(5, 6, "guess")]}],
        },
        {
            "id": 8,
            "data": {"audio": "/data/local-files/?d=mon%2Fdawn.wav"},
            "annotations": [
                {"completed_by": 4, "result": [region(0, 1, "owl"), {"type": "textarea", "value": {"text": ["?"]}}]}
            ],
        },
    ]
    path = write("export.json", json.dumps(tasks))
    table = read_quietly(path)
    assert rows(table, "path", "start", "end", "label", "annotator") == [
        ["/data/upload/2/1f2e3d4c-night.wav", 1, 2.5, "owl", "a@b.c"],
        ["/data/upload/2/1f2e3d4c-night.wav", 1, 2.5, "fox", "a@b.c"],
        ["mon/dawn.wav", 0, 1, "owl", "4"],
    ]
    found = read_quietly(
        path, recordings=["x/night.wav", "x/mon/dawn.wav"]
    )  # without what an upload puts before the name
    assert found["path"].tolist() == ["x/night.wav", "x/night.wav", "x/mon/dawn.wav"]


def test_the_short_export_of_label_studio(write):
    tasks = [
        {
            "audio": "https://host/a%20b.wav?x=1",
            "id": 1,
            "annotator": 2,
            "annotation_id": 5,
            "label": [{"start": 0, "end": 1, "labels": ["owl"]}],
        }
    ]
    assert rows(read_quietly(write("min.json", json.dumps(tasks))), "path", "label", "annotator") == [
        ["/a b.wav", "owl", "2"]
    ]


def test_choices_for_whole_recordings_are_said(write):
    result = [{"type": "choices", "value": {"choices": ["noisy"]}}, region(0, 1, "owl")]
    path = write("x.json", json.dumps([{"data": {"audio": "a.wav"}, "annotations": [{"result": result}]}]))
    with pytest.warns(UserWarning, match="1 choice for a whole recording left out"):
        assert read_annotations(path)["label"].tolist() == ["owl"]


# ---------------------------------------------------------------------- soundevent

SOUNDEVENT = {
    "version": "1.1.0",
    "data": {
        "collection_type": "annotation_set",
        "users": [{"uuid": "u1", "username": "ann"}],
        "tags": [{"id": 0, "key": "species", "value": "owl"}, {"id": 1, "key": "call", "value": "hoot"}],
        "recordings": [{"uuid": "r1", "path": "/field/night.wav", "duration": 10.0}],
        "sound_events": [
            {
                "uuid": "e1",
                "recording": "r1",
                "geometry": {"type": "BoundingBox", "coordinates": [1.5, 200.0, 2.5, 900.0]},
            },
            {"uuid": "e2", "recording": "r1", "geometry": {"type": "TimeInterval", "coordinates": [4.0, 4.25]}},
            {"uuid": "e3", "recording": "r1", "geometry": {"type": "TimeStamp", "coordinates": 5.0}},
            {
                "uuid": "e4",
                "recording": "r1",
                "geometry": {"type": "Polygon", "coordinates": [[[6, 300], [7, 100], [6.5, 700]]]},
            },
        ],
        "sound_event_annotations": [
            {"uuid": "a1", "sound_event": "e1", "tags": [0, 1], "created_by": "u1"},
            *({"uuid": f"a{i}", "sound_event": f"e{i}", "tags": [0]} for i in (2, 3, 4)),
        ],
    },
}


def test_annotations_of_soundevent(write):
    table = read_quietly(write("aoef.json", json.dumps(SOUNDEVENT)), recordings="night.wav")
    assert rows(table, *CORE, "annotator", "key") == [
        ["night.wav", 1.5, 2.5, 200, 900, "owl", "ann", "species"],
        ["night.wav", 1.5, 2.5, 200, 900, "hoot", "ann", "call"],
        ["night.wav", 4, 4.25, None, None, "owl", "", "species"],
        ["night.wav", 5, 5, None, None, "owl", "", "species"],
        ["night.wav", 6, 7, 100, 700, "owl", "", "species"],
    ]


# ---------------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("a.txt", f"{RAVEN}\tLabel\n1\t\t1\t1\t2\t0\t9\towl\n2\t\t1\tx\t2\t0\t9\towl\n", r"column 'Begin Time \(s\)' is not a finite number in 1 place \(line 3\)"),
        ("a.csv", "path,start,end,label\na.wav,1,2,owl,more\n", r"more cells than the 4 of the header in 1 place \(line 2\); put cells that hold ','"),
        ("a.csv", "path,start,end,label\na.wav,5,2,owl\n", r"an end before the start in 1 place \(line 2\)"),
        ("a.csv", "path,start,end,label\na.wav,-1,2,owl\n", r"no time from 0 up in 1 place \(line 2\)"),
        ("a.csv", "path,start,end,low_hz,high_hz,label\na.wav,1,2,9,3,owl\n", "the higher before the lower"),
        ("a.csv", 'path,start,end,label\n"a.wav,1,2,owl\n', "a.csv', line 2: it is not a table: unexpected end"),
        ("a.csv", "path,label\na.wav,owl\n", "a.csv' begins with 'path,label', as none of audacity, csv, json, raven, textgrid does"),
        ("a.txt", "0\t1\towl\n2\ttwo\tfox\n", r"neither a label \(start, end, text\) nor its frequencies in 1 place \(line 2\)"),
        ("a.txt", "\\\t1\t2\n0\t1\towl\n", "begins with"),
        ("a.json", "[{]", "a.json' is not JSON"),
        ("a.json", "[" * 200, "nested in more than 100 levels"),
        ("a.json", '[{"audio": "a.wav"}]', "holds no annotations: export from Label Studio as JSON or JSON-MIN"),
        ("a.json", '[{"id": 9, "data": {"audio": "a.wav"}, "annotations": [{"result": [{"value": {"start": "x", "end": 1, "labels": ["owl"]}}]}]}]', r"no time from 0 up in 1 place \(task 9\)"),
        ("a.json", json.dumps(SOUNDEVENT).replace('"recording": "r1"', '"recording": "r2"'), "is not a set of annotations of soundevent: KeyError: 'r2'"),
        ("a.txt", b"0\t1\t\x81\n", "is not text in UTF-8, UTF-16 or cp1252; save it in UTF-8"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_names_file_and_line(write, name, text, message):
    with pytest.raises(ValueError, match=message) as found:
        read_annotations(write(name, text), recordings="a.wav")
    assert name in str(found.value)


def test_what_is_not_there_or_not_known_is_refused(write, tmp_path):
    with pytest.raises(FileNotFoundError):
        read_annotations(tmp_path / "gone.txt")
    path = write("a.txt", "0\t1\towl\n")
    with pytest.raises(ValueError, match="unknown format of annotations 'audacty'; did you mean 'audacity'"):
        read_annotations(path, "audacty")
    with pytest.raises(ValueError, match="recordings='.*gone' is neither a folder nor a recording"):
        read_annotations(path, recordings=str(tmp_path / "gone"))
    with pytest.raises(ValueError, match="recordings= names none"):
        read_annotations(path, recordings=[])


def test_damaged_files_raise_value_errors_and_nothing_else(write):
    """Bytes are changed, cut out and doubled at random: a file is read, or refused."""
    rng, outcomes = np.random.default_rng(0), set()
    texts = [
        *BIRDNET.values(),
        LONG,
        SHORT,
        "0\t1\towl\n\\\t1\t2\n",
        json.dumps([{"data": {"audio": "a.wav"}, "annotations": [{"result": [region(0, 1, "x")]}]}]),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(400):
            data = bytearray(texts[number % len(texts)].encode())
            for _ in range(rng.integers(1, 6)):
                at = rng.integers(0, max(len(data), 1))
                data[at : at + rng.integers(0, 9)] = rng.choice(
                    [b"", b"\0", b"\xff", b'"', b"\t", b"-1", b"{", b"9" * 30, b"\n"]
                )
            path = write("x.txt", bytes(data))
            try:
                read_annotations(path, recordings={"a.wav": "a.wav"})
                outcomes.add("read")
            except ValueError:
                outcomes.add("refused")
    assert outcomes == {"read", "refused"}


# ---------------------------------------------------------------------- and back


@pytest.fixture
def events():
    windows = pd.DataFrame({"start": np.arange(5) * 2.5, "end": np.arange(5) * 2.5 + 5})
    probs = np.random.default_rng(0).random((2, 2, 5)).astype("float32")
    tables = [
        windows.assign(path=path, **{"p_owl": own[0], "p_Käuzchen 7": own[1]})
        for path, own in zip(("in/mon/night.wav", "in/tue/night.wav"), probs)
    ]
    return sp.merge_events(pd.concat(tables, ignore_index=True), threshold=0.3)


def test_a_csv_of_events_comes_back_equal(events, tmp_path):
    odd = ["=1+1", "a,b", 'say "oh"', "two\nlines", "NA", "007", " blank ", "Käuzchen", "tab\tbed", "old\rmac"]
    more = pd.concat([events.iloc[:1]] * len(odd), ignore_index=True).assign(label=odd, path=[f"{i}.wav" for i in odd])
    more.loc[0, "path"] = "not-utf-8-\udcff.wav"
    for table in (events, more, events.iloc[:0]):
        sp.write_events(table, tmp_path / "events.csv")
        found = read_quietly(tmp_path / "events.csv")
        assert found[list(table)].values.tolist() == table.values.tolist()
        assert found[list(table)].equals(sp.read_events(tmp_path / "events.csv").astype(found[list(table)].dtypes))


@pytest.mark.parametrize(
    "format, columns", [("audacity", []), ("raven", ["probability"]), ("csv", ["probability", "mean", "windows"])]
)
def test_a_folder_of_events_comes_back_equal(events, tmp_path, format, columns):
    sp.write_events(events, f"{tmp_path}/labels/", format, band=(150, 8000))
    found = read_quietly(tmp_path / "labels", recordings=["in/mon/night.wav", "in/tue/night.wav"])
    names = ["path", "start", "end", "label", *columns]
    pd.testing.assert_frame_equal(found[names], events[names])
    if format == "raven":
        assert set(zip(found["low_hz"], found["high_hz"])) == {(150, 8000)}


@pytest.mark.parametrize("name", ["night.txt", "night.selections.txt", "night.csv"])
def test_events_of_one_recording_come_back_equal(events, tmp_path, name):
    own = events[events["path"] == "in/mon/night.wav"]
    sp.write_events(own, tmp_path / name, band=(0, 4000))
    found = read_quietly(tmp_path / name, recordings="in/mon/night.wav")
    pd.testing.assert_frame_equal(found[["path", "start", "end", "label"]], own[["path", "start", "end", "label"]])
