"""Recordings to batches of waveforms: the right samples, the right labels, the right seconds, and errors that say what to do."""

import re
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
import torch
from fastai.vision.all import CategoryBlock, DataBlock, ProgressCallback, RandomSplitter, Transform, load_learner
from matplotlib.figure import Figure
from PIL import Image

from specimg.audio import Audio, AudioError, read_audio
from specimg.data.loader import ClipDL
from specimg.data.tta import TTA, fit_with_tta, with_tta
from specimg.data.wave_augment import AugmentWaves, WaveAugment
from specimg.data.wave_loaders import WaveBlock, WaveDataLoaders, WaveDL
from specimg.data.waves import FitWave, ReadWave, RecordingPart, TensorWave, draw_recording, draw_wave
from specimg.datasets import sine
from specimg.interpret import SpecInterpretation
from specimg.training import predict_all
from specimg.training.learner import spec_learner

torch.set_num_threads(1)
SR = 8000
HZ = {"high": 3000, "low": 400, "mid": 1200}
HALF = Audio(sr=SR, duration=0.5)
LENGTHS = [0.4, 0.5, 0.65]


def plain(x):
    """A tensor of any kind and device as numpy's."""
    return np.asarray(x.cpu())


def tone(label, seconds):
    return 0.5 * sine(HZ[label], seconds, SR)


def pitch(x):
    """The label whose tone is loudest in the first waveform of `x`."""
    y = plain(x).reshape(-1, x.shape[-1])[0]
    found = np.abs(np.fft.rfft(y)).argmax() * SR / len(y)
    return min(HZ, key=lambda label: abs(HZ[label] - found))


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """24 tones in `audio/` of .folder, of three lengths, and .table: fname, label, speaker, fold."""
    folder = tmp_path_factory.mktemp("waves")
    (folder / "audio").mkdir()
    rows = []
    for i in range(8):
        for label in HZ:
            name = f"{i}_{label}_{'abcd'[i % 4]}.wav"
            sf.write(folder / "audio" / name, tone(label, LENGTHS[i % 3]), SR)
            rows.append((name, label, "abcd"[i % 4], i % 3))
    return SimpleNamespace(
        folder=folder, audio=folder / "audio", table=pd.DataFrame(rows, columns=["fname", "label", "speaker", "fold"])
    )


def load(sounds, table=None, **kwargs):
    options = dict(folder="audio", fn_col="fname", label_col="label", audio=HALF, bs=8, augment=None)
    return WaveDataLoaders.from_df(sounds.table if table is None else table, sounds.folder, **{**options, **kwargs})


@pytest.fixture(scope="module")
def dls(sounds):
    return load(sounds)


@pytest.fixture(scope="module")
def learn(dls):
    learn = spec_learner(dls, "soundnet_lstm", seed=0).remove_cb(ProgressCallback)
    with learn.no_logging():
        learn.fit(1, 1e-3)
    return learn


def check_every_clip(dls):
    """Each item sounds like its label, and the table of clips agrees."""
    for dl in (dls.train, dls.valid):
        clips = dl.clips
        assert len(clips) == len(dl.dataset) > 0
        for i, (x, y) in enumerate(dl.dataset):
            label = dls.vocab[int(y)]
            assert pitch(x) == label == clips["label"][i] and label in clips["path"][i]


# ---------------------------------------------------------------------- samples


@pytest.mark.parametrize(
    "audio",
    [
        HALF,
        Audio(sr=5000, duration=0.45),
        Audio(sr=SR, duration=1.0, pad="reflect"),
        Audio(sr=SR, duration=0.3, normalize="peak", channel=1),
    ],
    ids=["as it is", "resampled", "padded", "one channel"],
)
def test_a_batch_holds_what_read_audio_reads(audio, tmp_path):
    rng = np.random.default_rng(0)
    for i, seconds in enumerate([0.4, 0.5, 0.65, 0.5]):
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        sf.write(tmp_path / "ab"[i % 2] / f"{i}.wav", rng.uniform(-1, 1, (round(seconds * SR), 2)), SR, subtype="FLOAT")
    dls = WaveDataLoaders.from_folder(tmp_path, audio=audio, valid_pct=0.5, bs=2, augment=None, shuffle=False)
    samples = round(audio.duration * audio.sr)
    assert dls.size == (1, samples)
    for dl in dls.loaders:
        x, _ = dl.one_batch()
        assert type(x) is TensorWave and x.shape == (2, 1, 1, samples) and x.dtype == torch.float32
        for row, name in zip(x, dl.clips["path"]):
            y, sr = read_audio(tmp_path / name, audio)
            assert sr == audio.sr and np.array_equal(plain(row)[0, 0], y)


def test_what_the_loaders_say_of_themselves(dls):
    assert (dls.n_channels, dls.size, dls.is_multi, dls.c, dls.audio) == (1, (1, 4000), False, 3, HALF)
    assert dls.renderer is None and dls.tree is None and dls.input.method == "pad"
    assert [type(dl) for dl in dls.loaders] == [WaveDL, WaveDL] and issubclass(WaveDL, ClipDL)
    assert list(dls.clips.columns) == ["path", "label", "recording", "is_valid"]
    assert dls.clips["is_valid"].tolist() == [False] * len(dls.train_ds) + [True] * len(dls.valid_ds)
    assert torch.cuda.is_available() or dls.train.fake_l.num_workers == 0


def test_workers_read_the_same(sounds, dls):
    parallel = load(sounds, num_workers=2)
    for mine, theirs in zip(dls.valid, parallel.valid):
        assert torch.equal(mine[0], theirs[0]) and torch.equal(mine[1], theirs[1])
    x, y = parallel.train.one_batch()
    assert [pitch(row) for row in x] == [dls.vocab[int(label)] for label in y]


# ---------------------------------------------------------------------- tables to loaders


def test_a_table_is_joined_by_name(sounds):
    dls = load(sounds, sounds.table.sample(frac=1, random_state=1))
    assert list(dls.vocab) == ["high", "low", "mid"]
    check_every_clip(dls)
    assert sorted(dls.clips["path"]) == sorted(sounds.table["fname"])
    assert list(load(sounds, vocab=["mid", "low", "high", "none"]).vocab) == ["mid", "low", "high", "none"]


def test_a_csv_folders_names_and_lists(sounds, tmp_path):
    sounds.table.to_csv(sounds.folder / "train.csv", index=False)
    options = dict(audio=HALF, bs=4, augment=None, valid_pct=0.25)
    check_every_clip(
        WaveDataLoaders.from_csv(
            sounds.folder, "train.csv", folder="audio", fn_col="fname", label_col="label", **options
        )
    )
    check_every_clip(WaveDataLoaders.from_lists(sounds.audio, sounds.table["fname"], sounds.table["label"], **options))
    named = WaveDataLoaders.from_names(sounds.audio, r"_(?P<label>[a-z]+)_(?P<group>[a-d])", **options)
    check_every_clip(named)
    assert not set(named.train.clips["group"]) & set(named.valid.clips["group"])
    for i, (name, label) in enumerate(zip(sounds.table["fname"], sounds.table["label"])):
        path = tmp_path / ("valid" if i >= 18 else "train") / label / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((sounds.audio / name).read_bytes())
    folders = WaveDataLoaders.from_folder(tmp_path, **options)
    check_every_clip(folders)
    assert all(path.startswith("valid/") for path in folders.valid.clips["path"]) and len(folders.valid_ds) == 6


def test_a_tree_holds_no_waveforms():
    assert not hasattr(WaveDataLoaders, "from_tree")


def test_who_validates(sounds):
    grouped = load(sounds, group_col="speaker", valid_pct=0.25)
    assert len(set(grouped.valid.clips["group"])) == 1 and len(set(grouped.train.clips["group"])) == 3
    check_every_clip(grouped)
    folded = load(sounds, fold=2)
    assert sorted(folded.valid.clips["path"]) == sorted(sounds.table["fname"][sounds.table["fold"] == 2])
    held = load(
        sounds,
        sounds.table.assign(held=["yes" if name[0] in "15" else "no" for name in sounds.table["fname"]]),
        valid_col="held",
    )
    assert sorted({path[0] for path in held.valid.clips["path"]}) == ["1", "5"]
    first, again, other = (load(sounds, valid_pct=0.25, seed=seed) for seed in (0, 0, 1))
    assert first.valid.clips["label"].value_counts().to_dict() == {"high": 2, "low": 2, "mid": 2}
    assert set(first.valid.clips["path"]) == set(again.valid.clips["path"]) != set(other.valid.clips["path"])


def test_weights_are_the_odds_of_being_drawn(sounds):
    table = sounds.table.assign(often=[{"low": 0, "mid": 1, "high": 3}[label] for label in sounds.table["label"]])
    dls = load(sounds, table, weight_col="often")
    rows = np.concatenate([dls.train.get_idxs() for _ in range(200)])
    counts = dls.train.clips["label"][rows].value_counts()
    assert "low" not in counts and counts["high"] / counts["mid"] == pytest.approx(3, rel=0.25)
    with pytest.raises(ValueError, match="leave out shuffle=False"):
        load(sounds, balance=True, shuffle=False)


def test_several_labels_a_clip(sounds):
    parity = [["even", "odd"][int(name[0]) % 2] for name in sounds.table["fname"]]
    table = sounds.table.assign(label=sounds.table["label"] + " " + parity)
    dls = load(sounds, table, label_delim=" ")
    assert dls.is_multi and list(dls.vocab) == ["even", "high", "low", "mid", "odd"] and dls.c == 5
    wanted = dict(zip(table["fname"], table["label"]))
    for dl in dls.loaders:
        for i, (x, y) in enumerate(dl.dataset):
            labels = {label for label, hot in zip(dls.vocab, y) if hot}
            assert labels == set(wanted[dl.clips["path"][i]].split()) and pitch(x) in labels
    learn = spec_learner(dls, "soundnet_lstm", seed=0).remove_cb(ProgressCallback)
    assert predict_all(learn).is_multi


def test_one_class_is_nothing_to_learn(sounds):
    with pytest.raises(ValueError, match="training holds the label 'tone' only; a classifier needs two"):
        load(sounds, sounds.table.assign(label="tone"))


def test_rows_with_times_are_clips_of_their_own(tmp_path):
    rows = []
    for i in range(6):
        sf.write(tmp_path / f"{i}.wav", np.concatenate([tone("low", 0.4), tone("high", 0.4)]), SR)
        rows += [(f"{i}.wav", "low", 0.0, 0.38), (f"{i}.wav", "high", 0.42, 0.8)]
    table = pd.DataFrame(rows, columns=["path", "label", "from", "to"]).sample(frac=1, random_state=0)
    options = dict(start_col="from", end_col="to", bs=4, valid_pct=0.34, augment=None)
    dls = WaveDataLoaders.from_df(table, tmp_path, audio=Audio(sr=SR, duration=0.38), **options)
    assert len(dls.clips) == 12 and not set(dls.train.clips["path"]) & set(dls.valid.clips["path"])
    for dl in dls.loaders:
        for i, (x, y) in enumerate(dl.dataset):
            assert pitch(x) == dls.vocab[int(y)] == dl.clips["label"][i]
    x, _ = dls.valid.one_batch()
    assert [spans for _, spans in x.clips] == [
        [pytest.approx((t, t + 0.38))] for t in dls.valid.clips["start"][: len(x)]
    ]
    windows = WaveDataLoaders.from_df(table, tmp_path, audio=Audio(sr=SR), seconds=0.1, **options)
    assert windows.valid.one_batch()[0].shape[1:] == (
        4,
        1,
        1,
        800,
    )  # the spans of 0.38 s, not the files of 0.8 s, are covered


# ---------------------------------------------------------------------- one length


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(audio=None), r"audio=None: give how recordings are read, such as audio=Audio\("),
        (dict(audio=Audio(duration=1.0)), r"Audio\(sr=None\) keeps the sampling rate of each file"),
        (
            dict(audio=Audio(sr=SR)),
            r"clips differ in length and a batch of waveforms may not; give Audio\(duration=...\).* or seconds=",
        ),
        (dict(audio=Audio(sr=SR), seconds=0), "seconds=0: give a number above 0"),
        (dict(seconds=0.6), r"seconds=0.6 is longer than Audio\(duration=0.5\)"),
        (dict(windows=3), "windows=3 goes with seconds="),
        (dict(seconds=0.1, windows=0), "windows=0: give 1 or more"),
        (
            dict(audio=Audio(sr=SR, duration=1, lowpass_hz=5000)),
            "nothing above 4000 Hz to cut at 5000 Hz; lower lowpass_hz",
        ),
        (dict(augment="strong"), r"augment='strong': give 'default', None or WaveAugment\(...\)"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options, message, sounds):
    with pytest.raises(ValueError, match=message):
        load(sounds, sounds.table[:0], **options)  # before anything is looked at: the table is empty
    if "augment" not in options:
        with pytest.raises(ValueError, match=message):
            WaveBlock(**{"audio": HALF, **options})


def test_training_hears_random_windows(sounds):
    dls = load(sounds, audio=Audio(sr=SR), seconds=0.1)
    assert dls.size == (1, 800) and dls.input.method == "crop"
    starts = set()
    for _ in range(10):
        x, _ = dls.train.one_batch()
        assert x.shape == (8, 1, 1, 800)
        for row, (index, ((start, stop),)) in zip(x, x.clips):
            y, _ = read_audio(dls.train.clips["recording"][index])
            first = round(start * SR)
            assert np.array_equal(plain(row)[0, 0], y[first : first + 800]) and stop - start == pytest.approx(0.1)
            starts.add(first)
    assert len(starts) > 40 and min(starts) >= 0 and max(starts) <= 0.55 * SR


def test_validation_hears_evenly_spread_windows(sounds):
    dls = load(sounds, audio=Audio(sr=SR), seconds=0.1, fold=2)  # clips of 0.65 s: 7 windows
    x, _ = dls.valid.one_batch()
    assert x.shape[1:] == (7, 1, 1, 800)
    for row, (index, spans) in zip(x, x.clips):
        y, _ = read_audio(dls.valid.clips["recording"][index])
        starts = [round(start * SR) for start, _ in spans]
        assert starts[0] == 0 and starts[-1] + 800 == len(y) and np.ptp(np.diff(starts)) <= 1
        for window, first in zip(row, starts):
            assert np.array_equal(plain(window)[0, 0], y[first : first + 800])
    assert load(sounds, audio=Audio(sr=SR), seconds=0.1, windows=2).valid.one_batch()[0].shape[1:] == (2, 1, 1, 800)
    assert load(sounds, seconds=0.1).valid.one_batch()[0].shape[1] == 5  # of the duration that all are cut to
    assert load(sounds, audio=Audio(sr=SR), seconds=0.01).valid.one_batch()[0].shape[1] == 8  # and no more
    nobody = load(sounds, sounds.table.assign(held=False), valid_col="held", audio=Audio(sr=SR), seconds=0.1)
    assert nobody.train.one_batch()[0].shape == (8, 1, 1, 800)


@pytest.mark.parametrize(
    ("pad", "expected"), [("silence", [1, 2, 3, 0, 0]), ("repeat", [1, 2, 3, 1, 2]), ("reflect", [1, 2, 3, 2, 1])]
)
def test_a_clip_shorter_than_its_window_is_padded(pad, expected):
    wave = TensorWave(torch.tensor([[[1.0, 2.0, 3.0]]]))
    wave.begin = 0.25
    for split_idx in (0, 1):
        x = FitWave(Audio(sr=4, pad=pad), 5)(wave, split_idx=split_idx)
        assert type(x) is TensorWave and x.tolist() == [[expected]] and x.spans == [(0.25, 1.5)]


def test_seconds_count_from_what_was_trimmed(tmp_path):
    y = np.concatenate([np.zeros(4096, "float32"), tone("mid", 0.5), np.zeros(4096, "float32")])
    sf.write(tmp_path / "a.wav", y, SR)
    audio = Audio(sr=SR, trim_db=40, duration=0.5)
    x = FitWave(audio, 4000)(ReadWave(audio)(tmp_path / "a.wav"), split_idx=1)
    ((start, stop),) = x.spans
    assert stop - start == pytest.approx(0.5) and start == pytest.approx(4096 / SR, abs=0.2) and start > 0.3
    assert np.array_equal(plain(x)[0, 0], read_audio(tmp_path / "a.wav", audio)[0])
    assert np.allclose(plain(x)[0, 0], y[round(start * SR) :][:4000], atol=2**-15)  # of 16 bits


class Reversed(Transform):
    """Of a clip's whole length, as a user's own transform."""

    def encodes(self, x: TensorWave) -> TensorWave:
        return TensorWave(plain(x)[..., ::-1].copy())


class Halved(Transform):
    def encodes(self, x: TensorWave) -> TensorWave:
        return x / 2


def test_transforms_of_ones_own(sounds):
    dls = load(sounds, item_tfms=Reversed(), batch_tfms=Halved(), audio=Audio(sr=SR), seconds=0.1, windows=2)
    x, _ = dls.valid.one_batch()
    y, _ = read_audio(dls.valid.clips["recording"][0])
    assert np.array_equal(plain(x)[0, 0, 0, 0], y[::-1][:800] / 2)
    figure = dls.valid.show_batch()  # whose seconds are no longer known
    assert {ax.get_xlabel() for ax in figure.axes if ax.axison} == {"samples"}


# ---------------------------------------------------------------------- files that do not fit


def damaged(tmp_path, sounds, damage):
    """The same sounds, those whose name begins with a key of `damage` replaced by its bytes."""
    (tmp_path / "audio").mkdir()
    for name in sounds.table["fname"]:
        data = (sounds.audio / name).read_bytes()
        found = [change for start, change in damage.items() if name.startswith(start)]
        (tmp_path / "audio" / name).write_bytes(found[0](data) if found else data)
    return SimpleNamespace(folder=tmp_path, table=sounds.table)


def test_what_is_no_recording_is_left_out_and_named(tmp_path, sounds):
    here = damaged(
        tmp_path,
        sounds,
        {"0_high": lambda data: b"", "1_low": lambda data: data[:300], "2_mid": lambda data: b"no sound at all"},
    )
    with pytest.warns(UserWarning) as caught:
        dls = load(here, pd.concat([here.table, pd.DataFrame({"fname": ["gone.wav"], "label": ["low"]})]))
    said = [str(w.message) for w in caught if "same content" not in str(w.message)]
    assert len(said) == 2 and "1 of 25 rows have no recording below" in said[0]
    assert said[1].startswith(
        "3 of 24 clips cannot be read and are left out (0_high_a.wav: is empty (0 bytes); 1_low_b.wav: is cut short"
    )
    assert "; 2_mid_c.wav: is not a recording" in said[1]
    assert len(dls.clips) == 21
    check_every_clip(dls)


def test_a_missing_channel_is_seen_at_once(sounds):
    with pytest.raises(
        ValueError, match=r"none of the 24 clips can be read \(0_high_a.wav: has 1 channel, so there is no channel 1"
    ):
        load(sounds, audio=HALF.replace(channel=1))


def test_a_file_that_its_header_praises_is_named_by_the_batch(tmp_path, sounds):
    here = damaged(tmp_path, sounds, {})
    y = tone("low", 0.5)
    y[3000] = np.nan
    sf.write(tmp_path / "audio" / "3_low_d.wav", y, SR, subtype="FLOAT")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.filterwarnings("ignore", ".* same content")  # tones of one pitch
        dls = load(here, sounds.table.assign(held=sounds.table["fname"].str[0] == "3"), valid_col="held")
    with pytest.raises(
        AudioError,
        match=r"3_low_d.wav': 1 samples are NaN or infinite, the first at 0.375 s; found while a batch was read: "
        r"repair the file, or leave it out",
    ) as caught:
        dls.valid.one_batch()
    assert isinstance(caught.value.__cause__, AudioError)
    with pytest.raises(Exception, match="3_low_d.wav"):
        list(dls.valid.new(num_workers=1))


# ---------------------------------------------------------------------- predicting


def test_new_recordings_of_every_kind(dls, sounds, tmp_path):
    names = list(sounds.table["fname"][:3])
    paths = [sounds.audio / name for name in names]
    want = [read_audio(path, HALF)[0] for path in paths]
    for items in (
        paths,
        [str(path) for path in paths],
        pd.DataFrame({"path": paths}),
        [read_audio(path) for path in paths],
    ):
        (x,) = dls.test_dl(items).one_batch()
        assert type(x) is TensorWave and np.array_equal(plain(x)[:, 0, 0], want)
    assert len(dls.test_dl(sounds.audio).dataset) == 24
    assert dls.test_dl((want[0], SR)).one_batch()[0].shape == (1, 1, 1, 4000)
    assert list(dls.test_dl(paths).clips["path"]) == [str(path) for path in paths]


def test_samples_are_brought_to_the_rate_of_the_recordings(dls):
    (x,) = dls.test_dl([(0.5 * sine(400, 1.0, 22_050), 22_050), (np.stack([tone("mid", 0.5)] * 2, 1), SR)]).one_batch()
    assert [pitch(row) for row in x] == ["low", "mid"]
    assert np.abs(plain(x[0])[0, 0, 200:-200] - 0.5 * sine(400, 0.5, SR)[200:-200]).max() < 1e-3
    with pytest.raises(ValueError, match="sampling rate 0.5: give a whole number"):
        dls.test_dl([(tone("mid", 0.5), 0.5)]).one_batch()


def test_parts_of_a_recording(dls, tmp_path):
    sf.write(tmp_path / "a.wav", np.concatenate([tone("low", 0.5), tone("high", 0.5)]), SR)
    table = pd.DataFrame(
        {"path": [tmp_path / "a.wav"] * 2, "start": [0.0, 0.5], "end": [0.5, 1.0], "label": ["low", "high"]}
    )
    dl = dls.test_dl(table, with_labels=True)
    x, y = dl.one_batch()
    assert [pitch(row) for row in x] == ["low", "high"] == [dls.vocab[int(label)] for label in y]
    assert [spans for _, spans in x.clips] == [[(0.0, 0.5)], [(0.5, 1.0)]]


def test_what_cannot_be_heard_is_refused(dls):
    with pytest.raises(ValueError, match="waveforms cannot be read from a picture; give paths"):
        dls.test_dl([Image.new("L", (4, 4))])
    with pytest.raises(ValueError, match="nothing to predict on"):
        dls.test_dl([])
    with pytest.raises(AudioError, match="gone.wav': is not there"):
        dls.test_dl(["gone.wav"]).one_batch()


def test_a_learner_predicts_on_paths_and_samples(learn, sounds):
    path = sounds.audio / "0_low_a.wav"
    label, number, probs = learn.predict(path)
    assert label in HZ and learn.dls.vocab[int(number)] == label and probs.sum() == pytest.approx(1, abs=1e-5)
    assert torch.allclose(learn.predict(read_audio(path))[2], probs, atol=1e-6)


def test_one_pass_over_the_clips_is_a_table(learn):
    found = predict_all(learn)
    clips = learn.dls.valid.clips
    assert list(found.table["path"]) == list(clips["path"]) and list(found.table["target"]) == list(clips["label"])
    assert found.embeddings.shape == (len(clips), 128)
    again = predict_all(learn, learn.dls.test_dl(list(clips["recording"])))
    assert np.allclose(found.probs, again.probs, atol=1e-6) and not again.labelled.any()
    for p in (found, again):  # there is no picture to show, but a recording to draw
        assert set(p.table["picture"]) == {""} and list(p.table["recording"]) == list(clips["recording"])
    unnamed = predict_all(learn, learn.dls.test_dl([(0.1 * np.ones(4000, "float32"), SR)]))
    assert unnamed.table.loc[0, ["picture", "recording"]].tolist() == ["", ""]


def test_the_worst_mistakes_are_shown_as_waveforms(learn):
    interp = SpecInterpretation.from_learner(learn)
    figure = interp.plot_top_losses(4)
    for ax, row in zip(figure.axes, interp.top_losses(4).itertuples()):
        times, values = ax.lines[0].get_data()
        y, sr = read_audio(row.recording)
        assert (
            ax.get_xlim() == pytest.approx((0, len(y) / sr)) and np.allclose(values, y) and ax.get_xlabel() == "seconds"
        )
        assert row.path in ax.get_title()


@pytest.mark.parametrize("arch", ["resnet18", "test_resnet", "inception_v3"])
def test_networks_of_pictures_refuse_waveforms_at_once(dls, arch):
    said = (
        f"^{arch} takes pictures, and these are waveforms of 4000 samples; make the data with SpecDataLoaders, "
        "or use soundnet_cnn or soundnet_lstm$"
    )
    with pytest.raises(ValueError, match=said):
        spec_learner(dls, arch)  # before any weights are looked for


def test_shifted_windows_are_for_pictures(dls):
    said = r"TTA shifts and scales windows of pictures; outputs of several windows of a waveform are averaged by WaveDataLoaders\(\.\.\., seconds"
    with pytest.raises(ValueError, match=said):
        with_tta(dls.valid, TTA(shifts=(-0.1, 0.0, 0.1)))
    with pytest.raises(ValueError, match="FitWave is not a FitSize: " + said):
        fit_with_tta(FitWave(HALF, 4000), TTA())


def test_answers_of_windows_are_averaged(sounds):
    dls = load(sounds, audio=Audio(sr=SR), seconds=0.45, windows=3, fold=2)
    learn = spec_learner(dls, "soundnet_lstm", seed=0).remove_cb(ProgressCallback)
    x = dls.valid.one_batch()[0].cpu()
    model = learn.model.cpu().eval()
    with torch.no_grad():
        one_by_one = torch.stack([model(x[:, i].as_subclass(torch.Tensor)) for i in range(3)]).mean(0)
        assert torch.allclose(model(x), one_by_one, atol=1e-5)
    assert np.allclose(predict_all(learn).probs[: len(x)], one_by_one.softmax(1).numpy(), atol=1e-5)


def test_statistics_of_training(sounds):
    learn = spec_learner(load(sounds), "soundnet_lstm", stats="train", seed=0)
    y = np.concatenate([read_audio(path, HALF)[0] for path in learn.dls.train.clips["recording"]])
    normalise = learn.model[0]
    assert float(normalise.mean) == pytest.approx(y.mean(), abs=1e-4) and float(normalise.std) == pytest.approx(
        y.std(), rel=1e-3
    )


@pytest.mark.filterwarnings("ignore:load_learner")  # fastai warns of pickles
def test_fastai_exports_the_learner(learn, sounds, tmp_path):
    learn.export(tmp_path / "learner.pkl")
    loaded = load_learner(tmp_path / "learner.pkl")
    loaded.remove_cb(ProgressCallback)
    path = sounds.audio / "0_low_a.wav"
    assert torch.allclose(loaded.predict(path)[2], learn.predict(path)[2], atol=1e-6)
    assert loaded.dls.audio == HALF


# ---------------------------------------------------------------------- a DataBlock of one's own


def test_a_block_for_a_datablock(sounds):
    block = DataBlock(
        blocks=(WaveBlock(HALF), CategoryBlock),
        get_items=lambda folder: sorted(folder.glob("*.wav")),
        get_y=lambda path: path.name.split("_")[1],
        splitter=RandomSplitter(0.25, seed=0),
    )
    dls = block.dataloaders(sounds.audio, bs=4)
    assert type(dls.train) is WaveDL
    x, y = dls.one_batch()
    assert (
        type(x) is TensorWave
        and x.shape == (4, 1, 1, 4000)
        and [pitch(row) for row in x] == [dls.vocab[int(label)] for label in y]
    )
    windows = DataBlock(
        blocks=(WaveBlock(Audio(sr=SR), seconds=0.1, windows=3), CategoryBlock),
        get_y=block.get_y,
        splitter=block.splitter,
    ).dataloaders(sorted(sounds.audio.glob("*.wav")), bs=4)
    assert windows.train.one_batch()[0].shape == (4, 1, 1, 800) and windows.valid.one_batch()[0].shape == (
        4,
        3,
        1,
        1,
        800,
    )
    assert isinstance(windows.show_batch(), Figure)


def test_a_span_is_read_and_nothing_else(sounds):
    path = str(sounds.audio / "0_low_a.wav")
    x = ReadWave(Audio(sr=SR))(RecordingPart(path, 0.1, 0.3))
    assert np.array_equal(plain(x)[0, 0], read_audio(path, Audio(sr=SR), start=0.1, end=0.3)[0]) and x.begin == 0.1


# ---------------------------------------------------------------------- axes


@pytest.mark.parametrize(
    "options",
    [{}, dict(audio=Audio(sr=SR), seconds=0.15, windows=3), dict(augment="default")],
    ids=["whole", "windows", "augmented"],
)
def test_a_batch_is_shown_over_its_own_seconds(options, sounds):
    dls = load(sounds, **options)
    for dl in dls.loaders:
        batch = dl.one_batch()
        figure = dl.show_batch(batch)
        drawn = [ax for ax in figure.axes if ax.axison]
        assert isinstance(figure, Figure) and len(drawn) == min(9, len(batch[1]))
        for ax, x, (index, spans) in zip(drawn, batch[0], batch[0].clips):
            assert ax.get_xlim() == pytest.approx(spans[0])
            moved = "augment" in options and dl is dls.train
            assert ax.get_xlabel() == ("seconds (augmented)" if moved else "seconds") and ax.get_ylabel() == "amplitude"
            assert ax.get_title() == dl.clips["label"][index]
            (line,) = ax.lines
            assert np.array_equal(line.get_ydata(), plain(x).reshape(-1, x.shape[-1])[0])
            assert line.get_xdata()[0] == pytest.approx(spans[0][0]) and np.allclose(np.diff(line.get_xdata()), 1 / SR)


def test_results_are_black_where_right_and_red_where_wrong(dls):
    x, y = dls.valid.one_batch()
    said = (y + torch.tensor([0, 1] * 8, device=y.device)[: len(y)]) % 3  # every second one is wrong
    figure = dls.valid.show_results((x, y), type(y)(said))
    titles = [(ax.get_title(), ax.title.get_color()) for ax in figure.axes if ax.axison]
    names = [f"{dls.vocab[int(a)]}\n{dls.vocab[int(b)]}" for a, b in zip(y, said)]
    assert titles == [(name, ["black", "firebrick"][i % 2]) for i, name in enumerate(names)][:9]


def test_a_batch_of_unknown_origin_is_shown_over_samples(dls):
    figure = dls.show_batch((TensorWave(torch.rand(2, 1, 1, 50)), torch.tensor([0, 1])))
    assert [(ax.get_title(), ax.get_xlabel(), ax.get_xlim()) for ax in figure.axes] == [
        ("high", "samples", (0, 50)),
        ("low", "samples", (0, 50)),
    ]
    ax = TensorWave(torch.rand(3, 1, 1, 50)).show(title="three")
    assert ax.get_title() == "three" and ax.get_xlim() == (0, 50) and len(ax.lines[0].get_ydata()) == 50


def test_a_long_waveform_is_drawn_by_its_range():
    y = np.zeros(1_000_000, "float32")
    y[250_000], y[750_000] = 0.75, -0.5
    ax = Figure().add_subplot()
    draw_wave(ax, y, "$cost$", (10.0, 30.0))
    times, values = ax.lines[0].get_data()
    assert len(values) == 4000 and (values.max(), values.min()) == (0.75, -0.5)
    assert times[values.argmax()] == pytest.approx(15, abs=0.02) and times[values.argmin()] == pytest.approx(
        25, abs=0.02
    )
    assert ax.get_xlim() == (10, 30) and ax.get_ylim() == pytest.approx((-0.7875, 0.7875))
    draw_wave(ax, np.zeros(9))
    assert ax.get_ylim() == (-1.05, 1.05) and ax.get_xlabel() == "samples"


def test_a_recording_is_drawn_over_its_own_seconds(tmp_path):
    y = np.concatenate([np.zeros(SR), tone("low", 1.0)])
    sf.write(tmp_path / "a.wav", y, SR)
    ax = Figure().add_subplot()
    draw_recording(ax, tmp_path / "a.wav", 0.5, 1.5, "$a$")
    times, values = ax.lines[0].get_data()
    assert ax.get_xlim() == (0.5, 1.5) and ax.get_xlabel() == "seconds" and ax.get_title() == "$a$"
    assert np.abs(values[times < 0.99]).max() == 0 and np.abs(values[times > 1.01]).max() > 0.2
    draw_recording(whole := Figure().add_subplot(), str(tmp_path / "a.wav"))
    assert whole.get_xlim() == (0, 2)


def test_a_recording_that_is_gone_is_said_in_words(tmp_path):
    (tmp_path / "b.wav").write_bytes(b"no sound")
    for name, said in [("gone.wav", "is not there"), ("b.wav", "not a recording|format")]:
        ax = Figure().add_subplot()
        draw_recording(ax, tmp_path / name)
        assert not ax.lines and re.search(said, ax.texts[0].get_text(), re.I)


# ---------------------------------------------------------------------- augmentation


def augmented(x, **settings):
    off = dict(shift=0, gain_db=0, noise_db=None)
    return AugmentWaves(WaveAugment(**{**off, **settings}))(TensorWave(x), split_idx=0)


def waves(n=200, samples=400):
    """A different part of a tone each, between silences."""
    torch.manual_seed(0)
    x = torch.zeros(n, 1, 1, samples)
    x[..., 100:300] = 0.2 * torch.sin(torch.arange(200) / 3) + 0.1
    return x


def test_nothing_is_changed_where_all_is_off_or_outside_of_training():
    x = waves()
    assert torch.equal(augmented(x).as_subclass(torch.Tensor), x)
    assert torch.equal(AugmentWaves()(TensorWave(x), split_idx=1).as_subclass(torch.Tensor), x)


def test_shifts_move_the_sound_and_nothing_comes_round():
    x = waves()
    out = augmented(x, shift=0.5).as_subclass(torch.Tensor)
    starts = []
    for row in out[:, 0, 0]:
        first = int(row.nonzero()[0]) if row.any() else 400
        heard = row[first:][row[first:] != 0]
        starts.append(first)
        want = x[0, 0, 0, 100:300]
        assert any(
            torch.equal(heard, part) for part in (want[: len(heard)], want[-len(heard) :])
        )  # cut at one end at most
    assert min(starts) == 0 and max(starts) > 280 and len(set(starts)) > 100


def test_gain_is_in_decibels():
    x = waves()
    out = augmented(x, gain_db=6.0).as_subclass(torch.Tensor)
    gains = 20 * torch.log10(out.abs().amax(-1) / x.abs().amax(-1)).flatten()
    assert -6.001 < gains.min() < -5.5 and 5.5 < gains.max() < 6.001 and abs(gains.mean()) < 0.6
    assert torch.allclose(out / out.abs().amax(-1, keepdim=True), x / x.abs().amax(-1, keepdim=True), atol=1e-5)


def test_what_would_be_clipped_becomes_softer_as_a_whole():
    x = 3 * waves()
    out = augmented(x, gain_db=12.0).as_subclass(torch.Tensor)
    assert out.abs().max() <= 1 and (out.abs().amax(-1) > 0.999).sum() > 50
    assert torch.allclose(out / out.abs().amax(-1, keepdim=True), x / x.abs().amax(-1, keepdim=True), atol=1e-5)


def test_noise_lies_below_the_clip_and_silence_stays_silent():
    x = torch.cat([waves(), torch.zeros(3, 1, 1, 400)])
    noise = augmented(x, noise_db=20.0).as_subclass(torch.Tensor) - x
    below = 10 * torch.log10(x.square().mean(-1) / noise.square().mean(-1))[:200]
    assert 18.5 < below.min() < 22 and 55 < below.max() < 62
    assert not noise[200:].any()


def test_a_batch_knows_its_clips_after_augmentation(sounds):
    dls = load(sounds, augment="default")
    x, y = dls.train.one_batch()
    assert type(x) is TensorWave and len(x.clips) == 8
    assert [dls.train.clips["label"][index] for index, _ in x.clips] == [dls.vocab[int(label)] for label in y]
    assert [pitch(row) for row in x] == [dls.vocab[int(label)] for label in y]
    read = [read_audio(dls.train.clips["recording"][index], HALF)[0] for index, _ in x.clips]
    assert not any(np.array_equal(plain(row)[0, 0], want) for row, want in zip(x, read))
    x, _ = dls.valid.one_batch()
    assert np.array_equal(plain(x)[0, 0, 0], read_audio(dls.valid.clips["recording"][0], HALF)[0])
    assert not torch.equal(*[dls.train.new(get_idxs=lambda: [0] * 8).one_batch()[0][i] for i in (0, 1)])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(shift=1), r"WaveAugment\(shift=1\): give a share, 0 \(off\) to below 1"),
        (dict(gain_db=-3), r"WaveAugment\(gain_db=-3\): it goes both ways: give 0"),
        (dict(noise_db="loud"), r"WaveAugment\(noise_db=...\): 'loud' is not a finite number or None"),
    ],
)
def test_augmentations_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        WaveAugment(**settings)


def test_augmentation_travels_as_text():
    value = WaveAugment(shift=0.2, noise_db=None)
    assert WaveAugment.from_json(value.to_json()) == value
