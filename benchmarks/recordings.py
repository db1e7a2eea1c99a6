"""Which recordings are read, and is what comes out right? Files of every kind, made here, in every door.

    OMP_NUM_THREADS=1 python benchmarks/recordings.py                                  # the table on the terminal
    OMP_NUM_THREADS=1 python benchmarks/recordings.py --out benchmarks/results         # and as recordings.csv
    OMP_NUM_THREADS=1 python benchmarks/recordings.py --folder mine                    # files of your own: read or refused, and why

A file is right if all that went in comes out, no more than a codec's own delay is added, and the samples correlate with the sound above 0.93
(each of several that were joined); if it is refused, where it is no sound; and if it is refused and, with Audio(damaged="partial"), read up to
the damage, where it is damaged. The doors: `read_audio` (from the path and from its bytes), `recording_seconds`, `cut_windows`, `render_tree`, a
loader of waveforms, `predict`, `predict_windows` and the command `specimg predict`; each must agree with the first.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from made_recordings import Kind, aligned, made

import specimg as sp
from specimg.audio import AudioError, cut_windows, recording_seconds
from specimg.audio.decode import decode

LOOK = sp.Renderer(sp.Mel(n_mels=32, n_fft=512, hop_length=256), audio=sp.Audio(sr=8000, duration=0.5))


def likeness(y: np.ndarray, sr: int) -> float:
    """The highest correlation of mono samples with the sound that went in, wherever it lies in them."""
    return float(np.corrcoef(*aligned(y, sr))[0, 1])


def outcome(path: Path, damaged: str = "error") -> tuple[np.ndarray | None, int, str, str]:
    """(mono samples or None, their rate, the decoder, the reason) of a file."""
    try:
        found = decode(path, damaged=damaged)
    except AudioError as exc:
        return None, 0, "", exc.reason
    return found.y.mean(axis=1), found.sr, found.decoder, found.problem


def is_right(kind: Kind, path: Path) -> tuple[bool, str]:
    """(whether a file is read as it should be, what happened in words)."""
    y, sr, decoder, reason = outcome(path)
    if kind.status == "refused":
        return y is None, f"refused: {reason}"
    if kind.status == "damaged":
        part, _, _, why = outcome(path, "partial")
        good = y is None and part is not None and len(part) >= kind.samples
        return good, f"refused, or {0 if part is None else len(part)} samples: {why}"
    if y is None:
        return False, f"refused: {reason}"
    length = len(y) // kind.copies
    parts = [y[first : first + length + 2000] for first in range(0, len(y) - length + 1, length)]
    alike = min(likeness(part, sr) for part in parts) if not kind.name.startswith("amr") else 1.0
    good = kind.samples <= len(y) <= kind.samples + kind.slack and alike > 0.93
    return good, f"{len(y)} of {kind.samples} samples at {sr} Hz by {decoder}, correlation {alike:.3f}"


def classifier(folder: Path) -> sp.inference.Classifier:
    """A small network, trained for nothing but to be asked."""
    import soundfile as sf

    clips = folder / "clips"
    clips.mkdir()
    rng = np.random.default_rng(0)
    for i in range(6):
        for label, level in (("loud", 0.4), ("soft", 0.02)):
            (clips / label).mkdir(exist_ok=True)
            sf.write(clips / label / f"{i}.wav", level * rng.standard_normal(4000), 8000)
    dls = sp.SpecDataLoaders.from_folder(clips, renderer=LOOK, cache=folder / "cache", bs=4, size=32, progress=False)
    learn = sp.spec_learner(dls, "test_resnet", pretrained=False, seed=0)
    for x, _ in dls.train:
        learn.model(x)
    return sp.load_classifier(sp.save_classifier(learn, folder / "clf"))


def doors(paths: list[Path], folder: Path) -> dict[str, list[bool]]:
    """Door -> for each file, whether it lets the file in; and whether lengths are those of the samples."""
    from specimg.cli import main as command
    from specimg.data.waves import ReadWave

    clf = classifier(folder)
    lengths = [None if (found := outcome(path))[0] is None else len(found[0]) / found[1] for path in paths]

    def agrees(length: float | None, seconds: float) -> bool:
        return length is not None and abs(length - seconds) < 1e-5

    def lets_in(call, path: Path) -> bool:
        try:
            call(path)
        except ValueError:
            return False
        return True

    def same_length(path: Path, length: float | None) -> bool:
        try:
            return agrees(length, recording_seconds(path))
        except AudioError:
            return False

    names = [str(path) for path in paths]
    windows = cut_windows(names, 0.25, folder="/", rest="shift").groupby("path", sort=False)["end"].max()
    tree = sp.render_tree(names, LOOK, folder / "cache", progress=False, n_jobs=1)
    predicted = clf.predict(names, progress=False)
    long = clf.predict_windows(names, progress=False)
    ends = long[long["status"] == "ok"].groupby("path")["end"].max()
    broken = set(long.loc[long["status"] != "ok", "path"])
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        command(["predict", str(folder / "clf"), *names, "--out", str(folder / "labels.csv")])
    labels = pd.read_csv(folder / "labels.csv")["label"]
    read = ReadWave(LOOK.audio)
    return {
        "read_audio": [lets_in(sp.read_audio, path) for path in paths],
        "bytes": [lets_in(lambda p: sp.read_audio(p.read_bytes()), path) for path in paths],
        "recording_seconds": [same_length(*pair) for pair in zip(paths, lengths)],
        "cut_windows": [agrees(length, end) for length, end in zip(lengths, windows)],
        "render_tree": (tree.table["status"] == "drawn").tolist(),
        "waveforms": [lets_in(read.encodes, str(path)) for path in paths],
        "predict": (predicted["status"] == "ok").tolist(),
        "predict_windows": [
            name in ends and name not in broken and agrees(length, ends[name]) for name, length in zip(names, lengths)
        ],
        "specimg predict": labels.notna().tolist(),
    }


def table(folder: Path) -> pd.DataFrame:
    """A row a kind: what is right, what happened, and in which doors."""
    kinds, paths = made(), []
    for kind in kinds:
        paths.append(folder / kind.name)
        paths[-1].write_bytes(kind.data)
    rows = [(kind.name, kind.status, *is_right(kind, path)) for kind, path in zip(kinds, paths)]
    found = pd.DataFrame(rows, columns=["file", "should be", "right", "what happened"])
    work = folder / "work"
    work.mkdir()
    for door, let_in in doors(paths, work).items():
        found[door] = let_in
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, help="folder for recordings.csv")
    parser.add_argument("--folder", type=Path, help="recordings of your own instead")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    if args.folder:
        for path in sorted(path for path in args.folder.rglob("*") if path.is_file()):
            y, sr, decoder, reason = outcome(path)
            print(f"{path}: {reason if y is None else f'{len(y)} samples at {sr} Hz by {decoder}'}")
        return
    with tempfile.TemporaryDirectory() as folder:
        found = table(Path(folder))
    names = list(found.columns[4:])
    for row in found.itertuples(index=False):
        expected = row[1] == "read"
        other = [name for name, let_in in zip(names, row[4:]) if let_in != expected]
        print(
            f"{'right' if row.right else 'WRONG'}  {row.file:38}{row[3][:110]}{'  BUT ' + ', '.join(other) if other else ''}"
        )
    for status, group in found.groupby("should be"):
        alike = (group[names] == (status == "read")).all()
        print(
            f"{status}: {group['right'].sum()} of {len(group)} right; doors that differ: {', '.join(alike.index[~alike]) or 'none'}"
        )
    if args.out:
        args.out.mkdir(exist_ok=True)
        found.to_csv(args.out / "recordings.csv", index=False)


if __name__ == "__main__":
    main()
