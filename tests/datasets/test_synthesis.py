"""Signals with known answers, kinds of sound that vary, and a competition folder that is the same on every call."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile as sf

from specimg.datasets import (
    chirp,
    click,
    list_sounds,
    make_competition,
    make_sound,
    noise,
    silence,
    sine,
    sound,
    synthesis,
    synthetic_competition as competition,
)

PAIRS = [("chirp_up", "chirp_down"), ("strike", "swell"), ("speeding_up", "slowing_down")]
SMALL = dict(n_per_class=10, n_test=7, sr=8000, kinds=["kick", "clap", "hi_hat", "knock"], progress=False)
EMPTY = {"0b0427e2.wav", "6ea0099f.wav", "b39975f5.wav"}


def power_in_blocks(y, n_fft=512):
    """(bins, blocks): power of blocks that lie side by side, so that reversal only changes their order."""
    blocks = y[: len(y) // n_fft * n_fft].reshape(-1, n_fft)
    return np.abs(np.fft.rfft(blocks * np.hanning(n_fft), axis=1)).T ** 2


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return make_competition(tmp_path_factory.mktemp("made") / "comp", **SMALL)


# Signals --------------------------------------------------------------------------------------------------------------


def test_a_sine_has_one_peak_at_its_pitch():
    y = sine(1000, seconds=0.5, sr=16000)
    spectrum = np.abs(np.fft.rfft(y))
    assert y.shape == (8000,) and y.dtype == np.float32
    assert np.fft.rfftfreq(8000, 1 / 16000)[spectrum.argmax()] == 1000
    assert spectrum.max() == pytest.approx(0.5 * 8000 / 2)  # all of the amplitude is in that bin
    assert np.abs(y).max() == pytest.approx(0.5)


def test_a_click_is_one_sample():
    y = click(at=0.25, seconds=0.75, sr=8000, level=0.8)
    assert len(y) == 6000 and np.flatnonzero(y).tolist() == [2000] and y[2000] == np.float32(0.8)


def test_silence_is_zero():
    y = silence(0.3, 11025)
    assert y.shape == (3308,) and not y.any() and y.dtype == np.float32
    assert len(silence(0)) == 0


@pytest.mark.parametrize("f0, f1", [(200, 3000), (1500, 1500)])
def test_a_chirp_backwards_is_the_opposite_chirp(f0, f1):
    np.testing.assert_allclose(chirp(f0, f1, 0.7, 8000)[::-1], chirp(f1, f0, 0.7, 8000), atol=1e-6)


def test_a_chirp_starts_and_ends_at_its_pitches():
    sr = 16000
    hz = power_in_blocks(chirp(500, 4000, 2.0, sr)).argmax(axis=0) * sr / 512
    middles = (np.arange(62) + 0.5) * 512 / sr  # s, of the blocks
    np.testing.assert_allclose(hz, 500 + 3500 / 2.0 * middles, atol=sr / 512)


def test_noise_is_flat_bounded_and_seeded():
    y = noise(2.0, 16000, rng=3, level=0.25)
    low, high = np.split(power_in_blocks(y)[1:-1].mean(axis=1), [127])
    assert np.abs(y).max() <= 0.25 and low.mean() == pytest.approx(high.mean(), rel=0.1)
    assert np.array_equal(y, noise(2.0, 16000, rng=np.random.default_rng(3), level=0.25))
    assert not np.array_equal(y, noise(2.0, 16000, rng=4, level=0.25))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: sine(9000, sr=16000), r"9000 Hz .* 0 to 8000 Hz"),
        (lambda: chirp(100, -5), r"-5 Hz cannot be sampled"),
        (lambda: click(at=1.0, seconds=1.0), r"click at 1.0 s .* at < seconds"),
        (lambda: click(at=-0.1), r"click at -0.1 s"),
        (lambda: silence(-1), r"seconds=-1 .* seconds >= 0"),
        (lambda: silence(float("nan")), r"seconds=nan"),
        (lambda: noise(1, sr=0), r"sr=0"),
    ],
)
def test_impossible_signals_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# Kinds of sound -------------------------------------------------------------------------------------------------------


def test_the_kinds_are_many_and_listed():
    assert list_sounds() == sorted(list_sounds()) and len(list_sounds()) >= 14
    assert {"plucked_string", "bell", "kick", "siren", "rain", *np.ravel(PAIRS)} <= set(list_sounds())


@pytest.mark.parametrize("kind", list_sounds())
def test_every_kind_is_a_sound_that_varies(kind):
    clips = [make_sound(kind, seed, sr=11025) for seed in range(12)]
    for y in clips:
        assert y.dtype == np.float32 and y.ndim == 1 and y.flags.c_contiguous and np.isfinite(y).all()
        assert 0.3 <= len(y) / 11025 <= 5.0
        assert 0.09 < np.abs(y).max() <= 1
    spectra = np.array([power_in_blocks(y).mean(axis=1) for y in clips])
    assert len({len(y) for y in clips}) > 6
    assert np.corrcoef(np.log(spectra)).min() < 0.98  # not one spectrum at different lengths


@pytest.mark.parametrize("kind", list_sounds())
def test_a_kind_repeats_from_its_seed_and_moves_a_generator_on(kind):
    rng = np.random.default_rng(5)
    first, second = make_sound(kind, rng, 8000), make_sound(kind, rng, 8000)
    assert np.array_equal(first, make_sound(kind, 5, 8000))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("kind", list_sounds())
@pytest.mark.parametrize("sr, seconds", [(8000, 0.1), (48000, 0.3), (16000, 4.999)])
def test_a_given_length_is_kept(kind, sr, seconds):
    y = make_sound(kind, 1, sr, seconds)
    assert len(y) == round(seconds * sr) and np.isfinite(y).all() and 0.09 < np.abs(y).max() <= 1


@pytest.mark.parametrize("forward, backward", PAIRS)
def test_a_pair_differs_only_in_the_order_of_time(forward, backward):
    for seed in range(5):
        one, other = make_sound(forward, seed, 8000), make_sound(backward, seed, 8000)
        assert np.array_equal(one[::-1], other) and not np.array_equal(one, other)
        whole = len(one) // 512 * 512
        one, other = power_in_blocks(one[:whole]), power_in_blocks(other[-whole:])
        np.testing.assert_allclose(one.mean(axis=1), other.mean(axis=1), rtol=1e-3)
        np.testing.assert_allclose(one.std(axis=1), other.std(axis=1), rtol=1e-3)


def middle_of(power):
    """Where in time the power lies, 0 to 1."""
    return (power * np.linspace(0, 1, len(power))).sum() / power.sum()


def tap_gaps(y, sr):
    """Seconds between the moments at which the sound, smoothed over 20 ms, becomes loud."""
    loudness = np.convolve(y**2, np.ones(sr // 50), mode="same")
    starts = np.flatnonzero(np.diff((loudness > 0.1 * loudness.max()).astype(int)) == 1)
    return np.diff(starts) / sr


def test_the_pairs_go_the_way_their_names_say():
    sr = 8000
    for seed in range(8):
        power = power_in_blocks(make_sound("chirp_up", seed, sr))
        loud = power.argmax(axis=0)[power.sum(axis=0) > 0.1 * power.sum(axis=0).max()]
        assert loud[-1] > loud[0] and loud[len(loud) // 2] >= loud[0]
        strike, swell = (make_sound(kind, seed, sr, seconds=2.0) ** 2 for kind in ("strike", "swell"))
        assert middle_of(strike) < middle_of(swell)
        gaps = tap_gaps(make_sound("speeding_up", seed, sr, seconds=4.0), sr)
        assert len(gaps) >= 6 and (np.diff(gaps) < 0.02).all() and gaps[0] > 2 * gaps[-1]


def test_an_unknown_kind_lists_the_near_ones():
    with pytest.raises(ValueError, match=r"unknown sound 'bel'; did you mean 'bell'.* choose one of bell, bird_chirp"):
        make_sound("bel", 0)


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(sr=4000), r"sr=4000 .* at least 8000 Hz"),
        (dict(seconds=0.05), r"seconds=0.05 .* at least 0.1 s"),
        (dict(seconds=float("nan")), r"seconds=nan"),
    ],
)
def test_clips_too_short_or_too_coarse_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        make_sound("kick", 0, **settings)


def test_a_kind_of_ones_own(monkeypatch):
    monkeypatch.setattr(synthesis, "_SOUNDS", dict(synthesis._SOUNDS))

    @sound(seconds=(0.5, 0.6), room=False, backwards="pmeeb")
    def beemp(rng, seconds, sr):
        return np.linspace(0, 1, round(seconds * sr))

    assert {"beemp", "pmeeb"} <= set(list_sounds())
    assert middle_of(make_sound("beemp", 0) ** 2) > middle_of(make_sound("pmeeb", 0) ** 2)
    assert 0.5 <= len(make_sound("pmeeb", 0)) / 22050 <= 0.6


def test_a_kind_may_play_nothing_and_its_own_array_stays_as_it_is(monkeypatch):
    monkeypatch.setattr(synthesis, "_SOUNDS", dict(synthesis._SOUNDS))
    kept = np.ones(10, dtype=np.float32)

    @sound(seconds=(0.5, 0.6))
    def nothing(rng, seconds, sr):
        return kept[:0]

    @sound(seconds=(0.5, 0.6))
    def always_the_same(rng, seconds, sr):
        return kept

    for kind in ("nothing", "always_the_same"):
        assert np.isfinite(make_sound(kind, 0)).all()
    assert (kept == 1).all()


# The competition ------------------------------------------------------------------------------------------------------


def test_the_layout_is_the_real_competitions(small):
    train, sample = rows(small / "train.csv"), rows(small / "sample_submission.csv")
    assert list(train[0]) == ["fname", "label", "manually_verified"] and list(sample[0]) == ["fname", "label"]
    assert len(train) == 40 and len(sample) == 7 + 3
    for folder, table in ("audio_train", train), ("audio_test", sample):
        names = [row["fname"] for row in table]
        assert names == sorted(set(names)) == sorted(path.name for path in (small / folder).iterdir())
        assert all(len(name) == 12 and int(name[:8], 16) >= 0 and name.endswith(".wav") for name in names)
    assert {row["label"] for row in train} == {"Kick", "Clap", "Hi_hat", "Knock"}
    assert {row["label"] for row in sample} == {"Clap Hi_hat Kick"}
    assert b"\r" not in (small / "train.csv").read_bytes()


def test_the_clips_are_16_bit_mono(small):
    for path in [*(small / "audio_train").iterdir(), *(small / "audio_test").iterdir()]:
        if path.name not in EMPTY:
            info = sf.info(path)
            assert (info.samplerate, info.channels, info.subtype, info.format) == (8000, 1, "PCM_16", "WAV")
            assert 0.29 <= info.duration <= 5.0


def test_the_solution_knows_every_test_clip(small):
    solution = {row["fname"]: row["label"] for row in rows(small / "solution.csv")}
    assert list(solution) == [row["fname"] for row in rows(small / "sample_submission.csv")]
    assert {name for name, label in solution.items() if label == "None"} == EMPTY
    counts = np.unique(list(solution.values()), return_counts=True)[1]
    assert sorted(counts) == [1, 2, 2, 2, 3]  # seven clips of four kinds, and the empty ones


def test_three_test_files_are_empty_two_of_them_with_a_header(small):
    sizes = {name: (small / "audio_test" / name).stat().st_size for name in EMPTY}
    assert sorted(sizes.values()) == [0, 44, 44]
    for name, size in sizes.items():
        if size:
            assert len(sf.read(small / "audio_test" / name)[0]) == 0


def test_verified_labels_are_right_and_an_exact_share_of_the_others_is_wrong(tmp_path):
    settings = SMALL | dict(n_per_class=20)
    right = rows(make_competition(tmp_path / "right", **settings, wrong=0) / "train.csv")
    mixed = rows(make_competition(tmp_path / "mixed", **settings, wrong=0.25) / "train.csv")
    assert [row["fname"] for row in right] == [row["fname"] for row in mixed]
    sure = [row["manually_verified"] == "1" for row in mixed]
    differs = [one["label"] != other["label"] for one, other in zip(right, mixed)]
    assert sum(sure) == 48 and sum(differs) == 8  # 60 % of 80; a quarter of the other 32
    assert not any(s and d for s, d in zip(sure, differs))
    assert len({row["label"] for row, s in zip(right, sure) if s}) == 4


def test_the_labels_are_what_is_heard(small):
    """A kick is low and a hi-hat is high: the verified labels belong to these very files."""
    pitch = {"Kick": [], "Hi_hat": []}
    for row in rows(small / "train.csv"):
        if row["label"] in pitch and row["manually_verified"] == "1":
            y, sr = sf.read(small / "audio_train" / row["fname"])
            power = power_in_blocks(y).mean(axis=1)
            pitch[row["label"]].append(power.argmax() * sr / 512)
    assert max(pitch["Kick"]) < 500 < 1000 < min(pitch["Hi_hat"])


def test_names_and_order_do_not_give_the_class_away(small):
    labels = [row["label"] for row in rows(small / "train.csv")]
    neighbours = np.mean([one == other for one, other in zip(labels, labels[1:])])
    periods = [np.mean([a == b for a, b in zip(labels, labels[k:])]) for k in range(1, 9)]
    assert neighbours < 0.5 and max(periods) < 0.6  # sorted by class 0.92; in turns 1.0 at period 4


def test_the_same_arguments_give_the_same_bytes(small, tmp_path):
    again = make_competition(str(tmp_path / "again"), **SMALL | dict(kinds=reversed(SMALL["kinds"])))
    assert content(again) == content(small)


def test_another_seed_gives_other_sounds_under_other_names(small, tmp_path):
    other = content(make_competition(tmp_path / "other", **SMALL, seed=1))
    assert not {name for name in other if name.startswith("audio_train")} & content(small).keys()
    assert not {data for name, data in other.items() if name.startswith("audio_train")} & set(content(small).values())


def test_a_clip_depends_on_its_own_place_alone(small, tmp_path):
    longer = content(make_competition(tmp_path / "longer", **SMALL | dict(n_per_class=12)))
    for name, data in content(small).items():
        if name.startswith("audio"):
            assert longer[name] == data


def test_a_finished_competition_is_not_written_again(small, monkeypatch):
    def refuse(path, data):
        raise AssertionError(f"{path} was written again")

    (small / "submission.csv").write_text("mine")  # what users add later is theirs
    monkeypatch.setattr(competition, "write_atomic", refuse)
    try:
        assert make_competition(small, **SMALL) == small
    finally:
        (small / "submission.csv").unlink()


def test_a_stopped_call_goes_on_where_it_was(small, tmp_path, monkeypatch):
    written = []

    def stop_at_20(path, data, whole=competition.write_atomic):
        if len(written) == 20:
            raise KeyboardInterrupt
        written.append(path)
        whole(path, data)

    folder = tmp_path / "comp"
    with monkeypatch.context() as patch:
        patch.setattr(competition, "write_atomic", stop_at_20)
        with pytest.raises(KeyboardInterrupt):
            make_competition(folder, **SMALL)
    assert len(written) == 20 and not (folder / "competition.json").exists()
    (folder / "audio_train" / ".partial-123-0").write_bytes(b"half a fi")
    before = {path: path.stat().st_mtime_ns for path in written}
    make_competition(folder, **SMALL)
    assert {path: path.stat().st_mtime_ns for path in written} == before
    (folder / "audio_train" / ".partial-123-0").unlink()
    assert content(folder) == content(small)


def test_a_stopped_call_with_other_shares_leaves_no_old_labels(small, tmp_path):
    folder = make_competition(tmp_path / "comp", **SMALL, wrong=1.0)
    (folder / "competition.json").unlink()  # as if it had been stopped just before its end
    assert content(make_competition(folder, **SMALL)) == content(small)


def test_what_was_deleted_comes_back(small, tmp_path):
    folder = make_competition(tmp_path / "comp", **SMALL)
    for path in [*(folder / "audio_train").iterdir()][:3], [folder / "train.csv", folder / "audio_test/6ea0099f.wav"]:
        for one in path:
            one.unlink()
    assert content(make_competition(folder, **SMALL)) == content(small)


def test_other_settings_in_the_same_folder_are_refused(small):
    before = content(small)
    with pytest.raises(ValueError, match=r"holds a competition with seed=0, wrong=0.2; choose another folder"):
        make_competition(small, **SMALL, seed=3, wrong=0.5)
    assert content(small) == before


def test_foreign_files_are_refused_and_stay(tmp_path):
    (tmp_path / "audio_train").mkdir()
    (tmp_path / "audio_train" / "my song.wav").write_bytes(b"dear to me")
    with pytest.raises(ValueError, match=r"such as 'audio_train/my song.wav'; choose an empty folder"):
        make_competition(tmp_path, **SMALL)
    assert content(tmp_path) == {"audio_train/my song.wav": b"dear to me"}


@pytest.mark.parametrize("text", ["not json", "[1]"])
def test_a_record_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "competition.json").write_text(text)
    with pytest.raises(ValueError, match=r"competition.json is not a record of a competition"):
        make_competition(tmp_path, **SMALL)


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "comp").write_text("a file")
    with pytest.raises(NotADirectoryError, match="comp"):
        make_competition(tmp_path / "comp", **SMALL)


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(kinds=["kick"]), r"kinds=\('kick',\); give two or more different names"),
        (dict(kinds=["kick", "kick"]), r"give two or more different"),
        (dict(kinds=["kick", "clapp"]), r"unknown sound 'clapp'; did you mean 'clap'"),
        (dict(n_per_class=0), r"n_per_class=0; give at least 1"),
        (dict(n_test=-1), r"n_test=-1; give at least 0"),
        (dict(sr=100), r"sr=100; give at least 8000 Hz"),
        (dict(seed=-1), r"seed=-1; give at least 0"),
        (dict(verified=1.5), r"verified=1.5; give a share from 0 to 1"),
        (dict(wrong=-0.1), r"wrong=-0.1; give a share"),
        (dict(n_per_class=2.5), r"n_per_class=...\): 2.5 is not a whole number"),
    ],
)
def test_impossible_competitions_are_refused_before_anything_is_written(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        make_competition(tmp_path / "comp", **SMALL | changes)
    assert not (tmp_path / "comp").exists()


def test_all_kinds_are_there_by_default(tmp_path):
    folder = make_competition(tmp_path, n_per_class=1, n_test=0, sr=8000, progress=False)
    assert {row["label"].lower() for row in rows(folder / "train.csv")} == set(list_sounds())
    assert json.loads((folder / "competition.json").read_text())["n_per_class"] == 1
    assert {row["fname"] for row in rows(folder / "sample_submission.csv")} == EMPTY


def test_the_progress_bar_can_be_left_out(tmp_path, capsys):
    settings = SMALL | dict(n_per_class=1, n_test=0)
    make_competition(tmp_path / "quiet", **settings)
    assert capsys.readouterr().err == ""
    make_competition(tmp_path / "shown", **settings | dict(progress=True))
    assert "sounds in shown" in capsys.readouterr().err


def test_synthesis_loads_neither_torch_nor_pandas():
    code = "import sys, specimg.datasets; print(sorted({'torch', 'pandas', 'scipy', 'librosa'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
