"""Does onnxruntime say what `Classifier.predict` says? A small network, trained on spoken digits, exported both ways.

A network from scratch learns the ten digits of the Free Spoken Digit Dataset (8 kHz) for a few epochs, speaker theo held out. Its
classifier is written as ONNX twice: the network alone, which gets specimg's pictures, and the whole way from samples to
probabilities. Both answer held-out clips, one at a time and at their own lengths, as does the classifier itself.

    python benchmarks/onnx_agreement.py --data ../shared/data/fsdd
    python benchmarks/onnx_agreement.py --data ../shared/data/fsdd --pcen --epochs 3

Printed for each: the largest and the mean difference of a probability, on how many clips the label agrees, the file's size, ms a
clip and the ratio of speeds (medians; the ways take turns, one thread each, reading the file included).
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import soundfile as sf
import torch

import specimg as sp
from specimg.inference import load_classifier, save_classifier
from specimg.inference.export.onnx import to_exported, to_onnx
from specimg.spectrogram.picture import read_planes

NAMES = r"^(?P<label>\d)_(?P<group>[a-z]+)_\d+"
MEL = sp.Mel(n_mels=64, n_fft=512, hop_length=80)
SIZE = 64


def train(args, representation, folder: str) -> sp.inference.Classifier:
    """A network trained for a few epochs, as a classifier that was saved and loaded."""
    table = sp.labels_from_names(args.data, NAMES)
    look = sp.Renderer(representation, sp.Picture(), sp.Audio(sr=8000))
    dls = sp.SpecDataLoaders.from_df(
        table.assign(held_out=table["group"] == "theo"),
        args.data,
        group_col="group",
        valid_col="held_out",
        renderer=look,
        cache=args.cache or folder,
        size=SIZE,
        bs=64,
    )
    learn = sp.spec_learner(dls, args.arch, pretrained=False, seed=0)
    history = sp.fit(learn, sp.Recipe(epochs=args.epochs, lr=3e-3, seed=0))
    print(
        f"{args.arch}, {SIZE} px, {args.epochs} epochs: accuracy {history['accuracy'].iloc[-1]:.3f} on theo, of whom it heard nothing"
    )
    return load_classifier(save_classifier(learn, Path(folder) / "classifier"))


def session_of(path: Path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def ways(clf, folder: str) -> tuple[dict, dict]:
    """({name: file -> probabilities}, {name: file size in bytes})."""
    network, whole = to_onnx(clf, Path(folder) / "network.onnx"), to_onnx(clf, Path(folder) / "whole.onnx", audio=True)
    program = to_exported(clf, Path(folder) / "whole.pt2", audio=True)
    seeing, hearing, exported = session_of(network), session_of(whole), torch.export.load(program).module()
    samples = lambda file: sf.read(file, dtype="float32")[0][None]  # noqa: E731  mono, at 8 kHz
    answers = {
        "specimg": lambda file: clf.probabilities(clf.to_input(file)[None])[0],
        "onnxruntime, network": lambda file: seeing.run(None, {"picture": clf.to_input(file)[None].numpy()})[0][0],
        "onnxruntime, whole": lambda file: hearing.run(None, {"samples": samples(file)})[0][0],
        "torch.export, whole": lambda file: exported(torch.from_numpy(samples(file)))[0].detach().numpy(),
    }
    return answers, {"onnxruntime, network": network, "onnxruntime, whole": whole, "torch.export, whole": program}


def pixels_off(clf, files) -> str:
    """How many pixels of the stored pictures the graph draws otherwise."""
    from specimg.inference.export import AudioFrontEnd

    front, off, worst, pixels = AudioFrontEnd(clf.renderer), 0, 0, 0
    for file in files:
        with torch.inference_mode():
            got = front.levels(torch.from_numpy(sf.read(file, dtype="float32")[0][None]))[0][0].numpy()
        apart = np.abs(got - read_planes(clf.renderer.png(file)))
        off, worst, pixels = off + int((apart > 0).sum()), max(worst, int(apart.max())), pixels + apart.size
    return f"{off} of {pixels} pixels differ, by {worst} level{'s' * (worst != 1)} at most"


def ask(answers: dict, files: list[Path]) -> tuple[dict, dict]:
    """({name: probabilities (clips, classes)}, {name: median ms a clip}); the ways take turns."""
    said, seconds = {name: [] for name in answers}, {name: [] for name in answers}
    for way in answers.values():
        way(files[0])  # what is only done once
    for file in files:
        for name, way in answers.items():
            began = time.perf_counter()
            said[name].append(way(file))
            seconds[name].append(time.perf_counter() - began)
    return {name: np.stack(rows) for name, rows in said.items()}, {
        name: 1e3 * np.median(took) for name, took in seconds.items()
    }


def report(said: dict, ms: dict, written: dict) -> None:
    want = said["specimg"]
    print(f"\n{'':<22}{'largest':>10}{'mean':>10}{'labels':>10}{'MB':>8}{'ms':>8}{'x speed':>9}")
    for name, probabilities in said.items():
        apart, same = np.abs(probabilities - want), (probabilities.argmax(1) == want.argmax(1)).sum()
        size = f"{os.path.getsize(written[name]) / 1e6:.2f}" if name in written else ""
        agreement = f"{apart.max():>10.1e}{apart.mean():>10.1e}{f'{same}/{len(want)}':>10}"
        print(f"{name:<22}{agreement}{size:>8}{ms[name]:>8.2f}{ms['specimg'] / ms[name]:>9.2f}")
    print(f"\n{platform.machine()}, torch {torch.__version__}, one thread, {time.strftime('%Y-%m-%d')}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data/fsdd"), help="folder that holds the recordings"
    )
    parser.add_argument("--arch", default="test_resnet")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--clips", type=int, default=300, help="500 at most, those of theo")
    parser.add_argument("--pcen", action="store_true", help="per-channel energy normalisation instead of decibels")
    parser.add_argument(
        "--cache", default=None, help="where pictures are kept; default a folder that is removed at the end"
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    files = sorted(args.data.rglob("*_theo_*.wav"))
    files = [files[i] for i in np.linspace(0, len(files) - 1, min(args.clips, len(files))).astype(int)]
    with tempfile.TemporaryDirectory() as folder:
        clf = train(args, MEL.replace(pcen=sp.Pcen()) if args.pcen else MEL, folder)
        began = time.perf_counter()
        answers, written = ways(clf, folder)
        print(f"exported three times in {time.perf_counter() - began:.0f} s")
        said, ms = ask(answers, files)
        table = clf.predict(files, progress=False)
        if not np.allclose(table[[f"p_{label}" for label in clf.vocab]].to_numpy(), said["specimg"], atol=1e-5):
            raise SystemExit("predict and its parts disagree, so nothing here would mean anything")
        sure = said["specimg"].max(axis=1)
        print(
            f"{len(files)} clips; largest probability of a clip {sure.mean():.3f} in the mean, {sure.max():.3f} at most"
        )
        print(pixels_off(clf, files))
        report(said, ms, written)


if __name__ == "__main__":
    main()
