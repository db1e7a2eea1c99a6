"""The layouts of spoken words: every column by hand, what is drawn as unknown and silence, the official split, mounts, bad input."""

import shutil
import warnings
from collections import Counter

import numpy as np
import pytest
import soundfile as sf
from miniatures.speech import NOISES, OTHERS, SPEAKERS, TEN, speech_answers, speech_challenge, speech_commands
from pandas.testing import assert_frame_equal

from specimg.competitions import BestLabels, Competition
from specimg.competitions.layouts.speech_commands import _even_shares, _starts, _windows_each

CHALLENGE, COMMANDS = "tensorflow-speech-recognition-challenge", "speech_commands"
COLUMNS = ["path", "label", "start", "end", "group", "word", "fold"]
CLIPS = [f"{speaker}_nohash_0.wav" for speaker in SPEAKERS] + [f"{SPEAKERS[0]}_nohash_1.wav"]  # of each word


def opened(slug, folder, **options):
    """The competition and what was warned of, all of it at the line of the call."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        comp = Competition.open(slug, folder, **options)
    assert {warning.filename for warning in said} <= {__file__}
    return comp, [str(warning.message) for warning in said]


def quietly(slug, folder, **options):
    comp, said = opened(slug, folder, **options)
    assert said == []
    return comp


def of(comp, label):
    return comp.train[comp.train["label"] == label].reset_index(drop=True)


def chosen(comp, label):
    """(path, start) of the clips of a label."""
    return set(zip(of(comp, label)["path"], of(comp, label)["start"].fillna(-1)))


@pytest.fixture(scope="module")
def kaggle(tmp_path_factory):
    return speech_challenge(tmp_path_factory.mktemp("kaggle"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return speech_commands(tmp_path_factory.mktemp("plain"))


@pytest.fixture
def copy(kaggle, tmp_path):
    return shutil.copytree(kaggle, tmp_path / "copy")


@pytest.fixture
def copy_plain(plain, tmp_path):
    return shutil.copytree(plain, tmp_path / "copy")


# Where it lies --------------------------------------------------------------------------------------------------------


MAKERS = {CHALLENGE: speech_challenge, COMMANDS: speech_commands}


@pytest.mark.parametrize("slug", MAKERS)
@pytest.mark.parametrize("mount", ["{slug}", "competitions/{slug}", "datasets/somebody/{slug}"])
def test_it_is_found_wherever_kaggle_mounts_it(slug, mount, tmp_path, monkeypatch):
    folder = MAKERS[slug](tmp_path / mount.format(slug=slug))
    monkeypatch.setattr("specimg.competitions.locate.KAGGLE_INPUT", tmp_path)
    monkeypatch.chdir(tmp_path)
    named, found = quietly(slug, folder), quietly(slug, None)
    assert found.folder == named.folder == folder
    assert_frame_equal(found.train, named.train)
    assert found.digest == named.digest
    assert (found.test is None) == (slug == COMMANDS) and (found.test is None or found.test.equals(named.test))


@pytest.mark.parametrize("slug", MAKERS)
def test_an_empty_or_a_wrong_folder_is_told_what_belongs_in_it(slug, tmp_path):
    (tmp_path / "empty" / "audio_train").mkdir(parents=True)
    marks = "'train/audio' or 'validation_list.txt' and 'testing_list.txt' or '_background_noise_' or 'yes' and 'no'"
    with pytest.raises(
        ValueError, match=f"no {slug} in '.*empty': searched for a folder with {marks}; .*fetch\\('speech_commands_v"
    ):
        Competition.open(slug, tmp_path / "empty")


# The challenge --------------------------------------------------------------------------------------------------------


def test_the_words_of_the_challenge(kaggle):
    comp = quietly(CHALLENGE, kaggle)
    assert list(comp.train) == COLUMNS and len(comp.train) == 70 + 7 + 7
    known = comp.train[comp.train["label"].isin(TEN)]
    assert known["path"].tolist() == [f"train/audio/{word}/{name}" for word in sorted(TEN) for name in sorted(CLIPS)]
    assert known["label"].tolist() == known["word"].tolist() == [word for word in sorted(TEN) for _ in CLIPS]
    assert known["group"].tolist() == [name.partition("_")[0] for _ in TEN for name in sorted(CLIPS)]
    assert known[["start", "end", "fold"]].isna().all(axis=None)


def test_unknown_clips_are_drawn_evenly_and_keep_their_word(kaggle):
    unknown = of(quietly(CHALLENGE, kaggle), "unknown")
    assert sorted(Counter(unknown["word"]).values()) == [2, 2, 3] and set(unknown["word"]) == set(OTHERS)
    for path, word, group in zip(unknown["path"], unknown["word"], unknown["group"]):
        assert path.startswith(f"train/audio/{word}/{group}_nohash_") and (kaggle / path).is_file()
    assert unknown["start"].isna().all() and unknown["path"].is_unique


def test_silence_is_cut_from_the_noises(kaggle):
    silence = of(quietly(CHALLENGE, kaggle), "silence")
    assert len(silence) == 7 and set(silence["word"]) == {"silence"}
    assert (silence["end"] - silence["start"]).round(6).eq(1).all()
    # 7 windows in proportion to 2.5, 2.5 and 3 seconds: 2.19, 2.19 and 2.62
    assert Counter(silence["group"]) == {
        "_background_noise_/" + name: 3 if name == "doing_the_dishes.wav" else 2 for name in NOISES
    }
    assert silence["path"].tolist() == ["train/audio/" + group for group in silence["group"]]
    for name, seconds in NOISES.items():
        own = silence[silence["group"] == "_background_noise_/" + name]
        assert own["start"].min() >= 0 and own["end"].max() <= seconds
        assert (
            own["start"].to_numpy()[1:] >= own["end"].to_numpy()[:-1]
        ).all()  # they fit side by side, so they do not overlap


def test_how_the_challenge_is_answered(kaggle):
    comp = quietly(CHALLENGE, kaggle)
    assert (comp.slug, comp.metric, comp.format, comp.given_folds) == (CHALLENGE, "accuracy", BestLabels(k=1), [])
    assert comp.vocab == tuple(sorted([*TEN, "silence", "unknown"])) and comp.sample == kaggle / "sample_submission.csv"
    assert comp.test["id"].tolist() == list(speech_answers()) and comp.solution is None
    assert comp.test["path"].tolist() == ["test/audio/" + name for name in speech_answers()]
    answers = comp.format.to_submission(comp.prediction_rows(), np.eye(12)[[0] * 14], comp.vocab)
    assert comp.check(answers).startswith("14 rows") and answers["label"].tolist() == ["down"] * 14


def test_shares_are_shares_of_the_known_clips(kaggle):
    comp = quietly(CHALLENGE, kaggle, unknown=0.2, silence=0)
    assert len(of(comp, "unknown")) == 14 and len(of(comp, "silence")) == 0 and "silence" not in comp.vocab
    comp = quietly(CHALLENGE, kaggle, unknown=0, silence=0.05)
    assert len(of(comp, "silence")) == 4 and comp.vocab == tuple(sorted([*TEN, "silence"]))  # 3.5 rounds to 4


def test_more_unknown_clips_than_there_are(kaggle):
    comp, said = opened(CHALLENGE, kaggle, unknown=1)
    assert said == ["70 clips of unknown words wanted, but the other words have 21"] and len(of(comp, "unknown")) == 21


def test_the_seed_alone_decides_what_is_drawn(kaggle):
    first, again, other = (quietly(CHALLENGE, kaggle, seed=seed) for seed in (0, 0, 1))
    assert_frame_equal(first.train, again.train)
    assert first.digest == again.digest != other.digest
    assert chosen(first, "unknown") != chosen(other, "unknown") and chosen(first, "silence") != chosen(other, "silence")
    assert chosen(first, "yes") == chosen(other, "yes")


def test_neither_the_order_of_files_nor_other_words_change_what_is_drawn(kaggle, copy, monkeypatch):
    first = quietly(CHALLENGE, kaggle)
    from specimg.competitions.layouts import speech_commands as speech

    listed = speech._listed
    monkeypatch.setattr(speech, "_listed", lambda folder: tuple(names[::-1] for names in listed(folder)))
    assert quietly(CHALLENGE, kaggle).digest == first.digest
    monkeypatch.undo()
    for name in CLIPS[:3]:  # 67 known clips: still 7 of each
        (copy / "train" / "audio" / "yes" / name).unlink()
    assert chosen(quietly(CHALLENGE, copy), "unknown") == chosen(first, "unknown")
    assert chosen(quietly(CHALLENGE, copy), "silence") == chosen(first, "silence")


def test_seconds_are_the_length_of_silence(kaggle):
    silence = of(quietly(CHALLENGE, kaggle, seconds=0.5), "silence")
    assert (silence["end"] - silence["start"]).round(6).eq(0.5).all() and len(silence) == 7


def test_words_may_be_chosen(kaggle):
    comp = quietly(CHALLENGE, kaggle, words=["yes", "cat"], unknown=0.5)
    assert (
        comp.vocab == ("cat", "silence", "unknown", "yes")
        and len(of(comp, "cat")) == 7
        and len(of(comp, "silence")) == 1
    )
    assert len(of(comp, "unknown")) == 7 and not set(of(comp, "unknown")["word"]) & {"yes", "cat"}
    assert len(set(of(comp, "unknown")["word"])) == 7  # seven different ones of the eleven


def test_folders_named_silence_and_unknown_are_what_they_say(copy):
    audio = copy / "train" / "audio"
    for name in ("silence", "unknown"):
        shutil.copytree(audio / "bed", audio / name)
    comp = quietly(CHALLENGE, copy)
    assert len(of(comp, "silence")) == 14 and len(of(comp, "unknown")) == 14
    assert Counter(of(comp, "silence")["start"].isna()) == {True: 7, False: 7}
    assert Counter(of(comp, "unknown")["word"])["unknown"] == 7
    assert quietly(COMMANDS, copy).vocab == tuple(sorted([*TEN, *OTHERS, "silence", "unknown"]))


# The plain data set ---------------------------------------------------------------------------------------------------


def test_every_word_of_speech_commands_is_a_label(plain):
    comp = quietly(COMMANDS, plain)
    assert (comp.slug, comp.metric, comp.format, comp.test, comp.sample) == (
        COMMANDS,
        "accuracy",
        BestLabels(k=1),
        None,
        None,
    )
    assert comp.vocab == ("backward", "cat", "no", "three", "yes") and list(comp.train) == COLUMNS
    assert comp.train["path"].tolist() == [f"{word}/{name}" for word in comp.vocab for name in sorted(CLIPS)]
    assert comp.train["word"].tolist() == comp.train["label"].tolist() and comp.train["group"].nunique() == len(
        SPEAKERS
    )
    assert comp.expected_rows().tolist() == comp.train["path"].tolist()  # clips of training are answered


def test_speech_commands_may_have_silence_and_unknown(plain):
    comp = quietly(COMMANDS, plain, words=("yes", "no"), unknown=0.5, silence=0.5)
    assert (
        comp.vocab == ("no", "silence", "unknown", "yes") and len(of(comp, "unknown")) == len(of(comp, "silence")) == 7
    )
    assert sorted(Counter(of(comp, "unknown")["word"]).values()) == [2, 2, 3]
    assert set(of(comp, "silence")["path"]) == {"_background_noise_/" + name for name in NOISES}


def test_the_challenge_reads_the_plain_data_set_without_a_test_set(plain):
    comp, said = opened(CHALLENGE, plain)
    assert said == ["8 of the challenge's ten words have no folder (up, down, left, ...): no network can learn them"]
    assert comp.slug == CHALLENGE and comp.test is None and comp.vocab == ("no", "silence", "unknown", "yes")
    assert len(of(comp, "unknown")) == len(of(comp, "silence")) == 1


def test_the_train_folder_of_the_challenge_alone(kaggle):
    comp = quietly(CHALLENGE, kaggle / "train", split="official")
    assert comp.test is None and comp.given_folds == [0, 1] and of(comp, "yes")["path"][0].startswith("audio/yes/")


def test_words_of_your_own(tmp_path, write_wav, sine):
    for word in ("Käse", "Wurst"):
        for name in ("anna_nohash_0.wav", "ben_nohash_0.wav", "Jürgen_nohash_0.wav"):
            write_wav(tmp_path / "train" / "audio" / word / name, sine(440, 0.1))
    comp, said = opened(CHALLENGE, tmp_path, silence=0, unknown=0)
    assert said == [
        "none of the challenge's ten words has a folder; each of the 2 words that have one is a label (Käse, Wurst)"
    ]
    assert comp.vocab == ("Käse", "Wurst") and set(comp.train["group"]) == {"anna", "ben", "Jürgen"}
    assert all((tmp_path / path).is_file() for path in comp.train["path"])


# The official split ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slug", MAKERS)
def test_the_official_split(slug, kaggle, plain):
    comp = quietly(slug, kaggle if slug == CHALLENGE else plain, split="official")
    assert comp.given_folds == [0, 1]
    spoken = comp.train[comp.train["start"].isna()]
    wanted = [{SPEAKERS[4]: 0, SPEAKERS[5]: 1}.get(speaker, -1) for speaker in spoken["group"]]
    assert spoken["fold"].tolist() == wanted and {0, 1, -1} == set(wanted)
    assert (comp.train.groupby("group")["fold"].nunique() == 1).all()


def test_two_noises_are_held_out_in_the_official_split(kaggle):
    silence = of(quietly(CHALLENGE, kaggle, split="official"), "silence")
    assert sorted(silence.groupby("group")["fold"].first()) == [-1, 0, 1]


def test_a_single_noise_always_trains_in_the_official_split(copy):
    for name in list(NOISES)[1:]:
        (copy / "train" / "audio" / "_background_noise_" / name).unlink()
    assert set(of(quietly(CHALLENGE, copy, split="official"), "silence")["fold"]) == {-1}


def test_names_in_the_lists_without_a_recording(copy_plain):
    with open(copy_plain / "testing_list.txt", "a", encoding="utf-8") as file:
        file.write("yes/feedbeef_nohash_0.wav\nzebra/feedbeef_nohash_0.wav\n\n")
    comp, said = opened(COMMANDS, copy_plain, split="official")
    assert said == [
        "2 clips in the official lists without a recording (yes/feedbeef_nohash_0.wav, zebra/feedbeef_nohash_0.wav)"
    ]
    assert (comp.train["fold"] == 1).sum() == 5
    quietly(COMMANDS, copy_plain)  # nobody asked for the lists


def test_a_speaker_on_two_sides_of_the_official_split_is_said(copy_plain):
    with open(copy_plain / "validation_list.txt", "a", encoding="utf-8") as file:
        file.write(f"yes/{SPEAKERS[0]}_nohash_0.wav\n")
    comp, said = opened(COMMANDS, copy_plain, split="official")
    assert said == [
        f"1 speaker in more than one part of the official split ({SPEAKERS[0]}): "
        "scores are too optimistic; split='random' keeps every speaker together"
    ]
    assert (comp.train["fold"] == 0).sum() == 6


def test_a_clip_in_both_lists(copy_plain):
    with open(copy_plain / "validation_list.txt", "a", encoding="utf-8") as file:
        file.write(f"yes/{SPEAKERS[5]}_nohash_0.wav\n")
    with pytest.raises(
        ValueError,
        match=f"1 clip in both validation_list.txt and testing_list.txt \\(yes/{SPEAKERS[5]}_nohash_0.wav\\)",
    ):
        Competition.open(COMMANDS, copy_plain, split="official")


def test_a_list_that_leads_out_of_the_folder(copy_plain):
    (copy_plain / "testing_list.txt").write_text("yes/a_nohash_0.wav\n../../secret.wav\n", encoding="utf-8")
    with pytest.raises(ValueError, match="testing_list.txt, line 2: '../../secret.wav' leads out of"):
        Competition.open(COMMANDS, copy_plain, split="official")


def test_the_official_split_without_its_lists(copy):
    (copy / "train" / "testing_list.txt").unlink()
    with pytest.raises(
        ValueError, match="split='official' needs testing_list.txt in '.*train'; .* or open it with split='random'"
    ):
        Competition.open(CHALLENGE, copy, split="official")
    assert len(quietly(CHALLENGE, copy).train) == 84


# Bad input ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, message",
    [
        ({"words": ["yes", "noo"]}, "unknown word 'noo'; did you mean 'no'"),
        ({"words": "yes"}, r"words='yes'; give a list of different words, such as words=\['yes', 'no'\]"),
        ({"words": []}, r"words=\[\]; give a list of different words"),
        ({"words": ["yes", "yes"]}, r"words=\['yes', 'yes'\]; give a list of different words"),
        ({"unknown": -0.1}, "unknown=-0.1; give a share of the clips of known words, such as 0.1"),
        ({"silence": float("nan")}, "silence=nan; give a share"),
        ({"silence": "much"}, "silence='much'; give a share"),
        ({"seconds": 0}, "seconds=0; give the length of a window of silence, above 0"),
        ({"split": "speakers"}, "unknown split 'speakers'; choose one of official, random"),
        ({"speed": 2}, "unknown option of tensorflow-speech-recognition-challenge 'speed'"),
    ],
)
def test_a_choice_that_does_not_exist(kaggle, options, message):
    with pytest.raises(ValueError, match=message):
        Competition.open(CHALLENGE, kaggle, **options)


def test_without_noises_there_is_no_silence(copy):
    shutil.rmtree(copy / "train" / "audio" / "_background_noise_")
    comp, said = opened(CHALLENGE, copy)
    assert said == [
        f"7 clips of silence wanted, but the recordings in {str(copy / 'train' / 'audio' / '_background_noise_')!r} give 0"
    ]
    assert "silence" not in comp.vocab and len(comp.train) == 77
    assert "silence" not in quietly(CHALLENGE, copy, silence=0).vocab


def test_noises_that_are_too_short_or_broken_are_not_used(copy):
    folder = copy / "train" / "audio" / "_background_noise_"
    sf.write(folder / "running_tap.wav", np.zeros(8000), 16000)
    (folder / "white_noise.wav").write_bytes(b"RIFF and nothing more")
    comp, said = opened(CHALLENGE, copy)
    assert said == [
        "2 recordings in _background_noise_ shorter than 1 s or not readable, not used (running_tap.wav, white_noise.wav)"
    ]
    silence = of(comp, "silence")
    assert silence["group"].unique().tolist() == ["_background_noise_/doing_the_dishes.wav"]
    assert silence["start"].tolist() == [0, 0.333, 0.666, 1, 1.333, 1.666, 2]  # seven in three seconds: evenly spread


def test_noises_that_hold_fewer_windows_than_wanted(copy):
    folder = copy / "train" / "audio" / "_background_noise_"
    for name in NOISES:
        sf.write(folder / name, np.full(16000, 0.1), 16000)  # of one second, in which there is one window
    comp, said = opened(CHALLENGE, copy)
    assert (
        said == [f"7 clips of silence wanted, but the recordings in {str(folder)!r} give 3"]
        and len(of(comp, "silence")) == 3
    )


def test_recordings_outside_the_folders_of_words(copy):
    shutil.copy(copy / "train" / "audio" / "yes" / CLIPS[0], copy / "train" / "audio" / "stray.wav")
    comp, said = opened(CHALLENGE, copy)
    assert said == [
        f"1 recording directly in {str(copy / 'train' / 'audio')!r}, not used (stray.wav); "
        "move each into the folder of its word"
    ]
    assert len(comp.train) == 84


def test_files_without_a_speaker_stand_for_themselves(copy_plain):
    for word in ("yes", "no"):
        (copy_plain / word / CLIPS[0]).rename(copy_plain / word / "0001.wav")
    comp, said = opened(COMMANDS, copy_plain)
    assert said == [
        "2 of 35 clips without a speaker in their name, such as 00f0204f_nohash_0.wav (no/0001.wav, yes/0001.wav); "
        "each is a group of its own, so one voice may be in both training and validation"
    ]
    assert comp.train["group"][comp.train["path"] == "yes/0001.wav"].tolist() == ["yes/0001.wav"]


def test_other_files_and_hidden_ones_are_no_clips(copy_plain, plain):
    for name in ("notes.txt", "._hidden.wav"):
        (copy_plain / "yes" / name).write_bytes(b"x")
    (copy_plain / "_empty").mkdir()
    assert quietly(COMMANDS, copy_plain).digest == quietly(COMMANDS, plain).digest


def test_folders_without_recordings(tmp_path):
    (tmp_path / "yes").mkdir()
    (tmp_path / "no").mkdir()
    with pytest.raises(ValueError, match="no recordings in the folders of '.*'; unpack them to one folder per word"):
        Competition.open(COMMANDS, tmp_path)


def test_a_sample_submission_that_does_not_fit(copy):
    (copy / "test" / "audio" / list(speech_answers())[0]).unlink()
    comp, said = opened(CHALLENGE, copy)
    gone = f"test/audio/{list(speech_answers())[0]}"
    assert said == [f"1 of 14 test files are missing ({gone}); the class prior is predicted for their rows"]
    assert len(comp.test) == 14
    (copy / "sample_submission.csv").write_text("clip,label\nx.wav,silence\n", encoding="utf-8")
    with pytest.raises(ValueError, match="unknown column in sample_submission.csv 'fname'; choose one of clip, label"):
        Competition.open(CHALLENGE, copy)
    (copy / "sample_submission.csv").write_text("fname,label\n../../../etc/x.wav,silence\n", encoding="utf-8")
    with pytest.raises(ValueError, match="'../../../etc/x.wav' leads out of"):
        Competition.open(CHALLENGE, copy)


def test_without_a_sample_submission_the_test_clips_are_answered_by_name(copy):
    (copy / "sample_submission.csv").unlink()
    comp, said = opened(CHALLENGE, copy)
    assert said == [
        f"no sample_submission.csv in {str(copy)!r}: 14 recordings in 'test/audio' are the test rows, by name"
    ]
    assert comp.test["id"].tolist() == list(speech_answers())


# The arithmetic of drawing --------------------------------------------------------------------------------------------


def test_even_shares_by_hand():
    assert _even_shares(6, {"a": 5, "b": 5, "c": 5}) == {"a": 2, "b": 2, "c": 2}
    assert _even_shares(7, {"a": 10, "b": 1, "c": 10}) == {"a": 3, "b": 1, "c": 3}
    assert _even_shares(100, {"a": 3, "b": 4}) == {"a": 3, "b": 4}
    assert sum(_even_shares(5, {"a": 10, "b": 10, "c": 10}).values()) == 5
    assert _even_shares(0, {"a": 1}) == {"a": 0} and _even_shares(3, {}) == {}


def test_windows_are_dealt_by_length():
    assert _windows_each(10, {"a": 60.0, "b": 30.0, "c": 10.0}) == {"a": 6, "b": 3, "c": 1}
    assert _windows_each(1, {"a": 1.0, "b": 2.0}) == {"a": 0, "b": 1}
    assert _windows_each(7, {"a": 2.5, "b": 2.5, "c": 3.0}) == {"a": 2, "b": 2, "c": 3}


@pytest.mark.parametrize("lot", range(20))
def test_windows_that_fit_side_by_side_never_overlap(lot):
    starts = _starts(10, 12.5, 1.0, lot)
    assert len(starts) == 10 and starts[0] >= 0 and starts[-1] <= 11.5 and np.diff(starts).min() >= 1 - 1e-9
    assert np.diff(starts).max() > 1 + 1e-3  # and yet they are spread
    assert np.array_equal(starts, np.round(starts, 3))


def test_windows_that_do_not_fit_overlap_as_little_as_can_be():
    assert _starts(5, 3.0, 1.0, 0).tolist() == [0, 0.5, 1, 1.5, 2]
    assert _starts(3, 3.0, 1.0, 0).tolist() == [0, 1, 2]
    assert _starts(4, 1.0, 1.0, 0).tolist() == [0]
