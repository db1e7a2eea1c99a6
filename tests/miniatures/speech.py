"""Spoken words in small: Kaggle's TensorFlow Speech Recognition Challenge, and Speech Commands as it unpacks. 16 kHz, 16 bit, mono."""

from __future__ import annotations

from pathlib import Path

from . import hex_name, hiss, random_of, tone, write_csv, write_wav

SR = 16000
TEN = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
OTHERS = ("bed", "cat", "three")
HZ = {word: 150 * 1.34**i for i, word in enumerate((*TEN, *OTHERS, "backward"))}  # up to 6.7 kHz
SPEAKERS = tuple(
    hex_name("speaker", i) for i in range(6)
)  # the fifth is in the validation list, the sixth in the testing list
NOISES = {"running_tap.wav": 2.5, "white_noise.wav": 2.5, "doing_the_dishes.wav": 3.0}  # seconds


def _write_words(folder: Path, words: tuple[str, ...]) -> None:
    """Each speaker says each word once, so that file names come back in every folder; the first says it twice."""
    for word in words:
        for name in [f"{speaker}_nohash_0.wav" for speaker in SPEAKERS] + [f"{SPEAKERS[0]}_nohash_1.wav"]:
            write_wav(folder / word / name, tone(HZ[word], 0.25, SR, random_of("speech", word, name)), SR)


def _write_noises(folder: Path) -> None:
    for name, seconds in NOISES.items():
        write_wav(folder / "_background_noise_" / name, hiss(seconds, SR, random_of("speech", name)), SR)
    (folder / "_background_noise_" / "README.md").write_text("Noises.\n", encoding="utf-8")


def _write_lists(folder: Path, words: tuple[str, ...]) -> None:
    for name, speaker in (("validation_list.txt", SPEAKERS[4]), ("testing_list.txt", SPEAKERS[5])):
        (folder / name).write_text(
            "".join(f"{word}/{speaker}_nohash_0.wav\n" for word in sorted(words)), encoding="utf-8"
        )


def speech_answers() -> dict[str, str]:
    """The label of each test clip: the ten words, two other words, and silence twice."""
    labels = [*TEN, "unknown", "unknown", "silence", "silence"]
    return dict(sorted((f"clip_{hex_name('clip', i, digits=9)}.wav", label) for i, label in enumerate(labels)))


def speech_challenge(folder: Path) -> Path:
    """The ten words of the challenge and three more, seven clips each, three recordings of noise, the official lists and a test set."""
    folder, train = Path(folder), Path(folder) / "train"
    _write_words(train / "audio", (*TEN, *OTHERS))
    _write_noises(train / "audio")
    _write_lists(train, (*TEN, *OTHERS))
    for name in ("README.md", "LICENSE"):
        (train / name).write_text("Words.\n", encoding="utf-8")
    for i, (name, label) in enumerate(speech_answers().items()):
        rng = random_of("speech", name)
        word = OTHERS[i % len(OTHERS)] if label == "unknown" else label
        write_wav(
            folder / "test" / "audio" / name,
            hiss(0.25, SR, rng) if label == "silence" else tone(HZ[word], 0.25, SR, rng),
            SR,
        )
    write_csv(folder / "sample_submission.csv", ["fname", "label"], [(name, "silence") for name in speech_answers()])
    return folder


def speech_commands(folder: Path) -> Path:
    """Five words of Speech Commands, seven clips each, with noise and lists, as `speech_commands_v0.02.tar.gz` unpacks; no test set."""
    folder, words = Path(folder), ("yes", "no", "cat", "three", "backward")
    _write_words(folder, words)
    _write_noises(folder)
    _write_lists(folder, words)
    for name in ("README.md", "LICENSE", ".DS_Store"):
        (folder / name).write_text("Words.\n", encoding="utf-8")
    return folder
