"""How fast do recordings become pictures? The tutorial way, plain librosa + Pillow, and specimg, side by side in one run.

    python benchmarks/render.py                    # clips made here: 5 s, 44.1 kHz, 16-bit wav
    python benchmarks/render.py --audio folder     # recordings of your own
    TMPDIR=/dev/shm python benchmarks/render.py    # pictures on a memory disk: how fast the drawing is, not the disk
    python benchmarks/render.py --formats          # wav, flac, ogg and mp3 against librosa + Pillow
    python benchmarks/render.py --profile          # what takes the time of a worker, stage by stage

All draw the same mel spectrogram (n_fft 2048, hop 512, 128 mels, dB below the maximum). The ways take turns, round by round, so that a
machine that slows down slows all of them; the table shows medians over rounds and ratios taken within rounds.

    tutorial          librosa.load, melspectrogram, specshow without axes, savefig, figure closed: 640 x 480 RGBA, margins kept
    librosa+pillow    the same mel, 8 bits, 224 x 224, saved by Pillow as RGB at its defaults: what most people write
    specimg           224 x 224 grey, self-describing, with the manifest; 1 and 2 workers
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

WAYS = ("tutorial", "librosa+pillow", "specimg 1 worker", "specimg 2 workers")


def make_clips(folder: Path, n: int) -> None:
    """`n` different recordings of 5 s at 44.1 kHz."""
    import soundfile as sf

    from specimg.datasets import list_sounds, make_sound

    kinds = list_sounds()
    for i in range(n):
        y = make_sound(kinds[i % len(kinds)], np.random.default_rng(i), sr=44100, seconds=5.0)
        sf.write(folder / f"clip{i:04d}.wav", y, 44100, subtype="PCM_16")


def tutorial(files: list[Path], out: Path) -> None:
    """What tutorials print, with the figure closed (left open it takes quadratic time)."""
    import librosa
    import librosa.display
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    for file in files:
        y, sr = librosa.load(file, sr=None)
        mel = librosa.power_to_db(librosa.feature.melspectrogram(y=y, sr=sr, n_mels=128), ref=np.max)
        fig = plt.figure()
        librosa.display.specshow(mel, sr=sr)
        plt.axis("off")
        plt.savefig(out / f"{file.name}.png")
        plt.close(fig)


def librosa_pillow(files: list[Path], out: Path) -> None:
    """librosa's numbers, Pillow's picture."""
    import librosa
    from PIL import Image

    for file in files:
        y, sr = librosa.load(file, sr=None)
        mel = librosa.power_to_db(librosa.feature.melspectrogram(y=y, sr=sr, n_mels=128), ref=np.max)
        levels = np.round((mel[::-1] + 80) / 80 * 255).astype(np.uint8)
        grey = Image.fromarray(levels).resize((224, 224), Image.Resampling.BILINEAR)
        rgb = grey.convert("RGB")
        rgb.save(out / f"{file.name}.png")


def specimg(files: list[Path], out: Path, n_jobs: int) -> None:
    """The whole of render_tree: listing, drawing, manifest."""
    import specimg as sp

    look = sp.Renderer(sp.Mel(n_mels=128), sp.Picture(height=224, width=224))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sp.render_tree(files, look, out, n_jobs=n_jobs, progress=False)


def draw(way: str, files: list[Path], out: Path) -> None:
    """Draw `files` one of the ways."""
    if way.startswith("specimg"):
        specimg(files, out, int(way.split()[1]))
    else:
        {"tutorial": tutorial, "librosa+pillow": librosa_pillow}[way](files, out)


def seconds_a_clip(way: str, files: list[Path]) -> float:
    """Time one way over all the files, into a fresh folder."""
    with tempfile.TemporaryDirectory() as out:
        began = time.perf_counter()
        draw(way, files, Path(out))
        return (time.perf_counter() - began) / len(files)


def many(folder: Path, files: list[Path], n: int) -> list[Path]:
    """`n` names for the recordings, by hard links: fast ways need more clips than there are."""
    folder.mkdir()
    names = [folder / f"{i:05d}{files[i % len(files)].suffix}" for i in range(n)]
    for name, file in zip(names, (files[i % len(files)] for i in range(n))):
        os.link(file, name)
    return names


def steady(files: list[Path], folder: Path, rounds: int, n_slow: int, n_fast: int) -> dict[str, list[float]]:
    """Seconds a clip of each way, round by round, everything warm."""
    names = many(folder / "many", files, n_fast)
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    for round_number in range(rounds + 1):  # round 0 warms up: imports, workers, file cache
        for way in WAYS:
            taken = seconds_a_clip(way, names if way.startswith("specimg") else names[:n_slow])
            if round_number:
                times[way].append(taken)
    return times


# ---------------------------------------------------------------------- formats, stages


def formats(folder: Path, clips: int, rounds: int) -> None:
    """The same clips as wav, flac, ogg and mp3: librosa + Pillow against one worker, in turns."""
    import soundfile as sf

    make_clips(folder, clips)
    print(
        f"\n{'':6}{'librosa+pillow':>16}{'specimg':>9}{'ratio':>7}   ms a clip, medians of {rounds} rounds of {clips} clips"
    )
    for suffix in ("wav", "flac", "ogg", "mp3"):
        files = sorted(folder.glob("*.wav"))
        if suffix != "wav":
            files = [file.with_suffix(f".{suffix}") for file in files]
            for file in files:
                sf.write(file, *sf.read(file.with_suffix(".wav")))
        taken = np.array(
            [[seconds_a_clip(way, files) for way in ("librosa+pillow", "specimg 1 worker")] for _ in range(rounds + 1)]
        )[1:]  # round 0 warms up
        slow, fast = np.median(taken, axis=0) * 1e3
        print(f"{suffix:6}{slow:16.2f}{fast:9.2f}{np.median(taken[:, 0] / taken[:, 1]):7.1f}")


def profile(folder: Path, clips: int, rounds: int) -> None:
    """Milliseconds of each stage of drawing a clip, in one process, medians over clips and rounds."""
    import specimg as sp
    from specimg.audio.faults import find_faults
    from specimg.audio.read import condition
    from specimg.audio.readers import SampleBuffer, open_recording
    from specimg.core.files import write_atomic
    from specimg.spectrogram import picture, spectrum

    make_clips(folder, clips)
    look = sp.Renderer(sp.Mel(n_mels=128), sp.Picture(height=224, width=224))
    mel, buffer = look.representation, SampleBuffer()
    window = spectrum.window_of("hann", mel.n_fft, mel.n_fft, "float32")
    times: dict[str, list[float]] = {}

    def timed(name: str, call, *args):
        began = time.perf_counter()
        result = call(*args)
        times.setdefault(name, []).append(1e3 * (time.perf_counter() - began))
        return result

    def read(file: Path) -> tuple[np.ndarray, int]:
        with open_recording(file) as reader:
            return reader.read(None, buffer), reader.sr

    def transform(views: list[np.ndarray]) -> None:
        for _ in spectrum.fft_blocks(views, window):
            pass

    for file in [file for _ in range(rounds) for file in sorted(folder.glob("*.wav"))]:
        raw, sr = timed("open and decode", read, file)
        timed("faults", find_faults, raw, raw[:, 0])
        y, sr, _ = timed("mono, checks, conditioning", condition, raw, sr, look.audio)
        views = timed("frames", spectrum.frame_views, y, mel.n_fft, mel.hop_length, True, "constant")
        timed("window and FFT", transform, views)
        x = timed("all of mel in dB", mel, y, sr)
        plane = timed("resize", picture._resize, x[0], 224, 224, "bilinear")
        levels = timed("quantize", picture.quantize, plane, -80.0, 0.0)
        timed("filter Up and Huffman", picture._compressed, np.ascontiguousarray(levels), 1)
        png = timed("all of the PNG", picture.encode, x, mel, look.picture, sr)
        timed("write", write_atomic, folder / "out.png", png)
    ms = {name: float(np.median(t)) for name, t in times.items()}
    inner = ("frames", "window and FFT")
    ms["power, mel bands, dB"] = ms.pop("all of mel in dB") - sum(ms[name] for name in inner)
    ms["text chunk, checksums"] = ms.pop("all of the PNG") - sum(
        ms[name] for name in ("resize", "quantize", "filter Up and Huffman")
    )
    total = sum(ms.values())
    print(f"\n{'stage':30}{'ms':>8}{'share':>8}   medians over {clips} clips, {rounds} rounds")
    for name, value in sorted(ms.items(), key=lambda item: -item[1]):
        print(f"{name:30}{value:8.3f}{value / total:8.1%}")
    print(f"{'sum':30}{total:8.3f}")


def first_call(files: list[Path], way: str) -> float:
    """Seconds of a fresh process that draws these files."""
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import render; render.main()"
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code, "--only", way, *map(str, files)], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def report(times: dict[str, list[float]], firsts: dict[str, list[float]], n_first: int) -> None:
    """Print both tables."""
    base = {way: np.array(t) for way, t in times.items()}
    print(f"\n{'':20}{'ms a clip':>10}{'clips/s':>10}{'x tutorial':>12}{'x librosa+pillow':>18}")
    for way, taken in base.items():
        print(
            f"{way:20}{1e3 * np.median(taken):10.2f}{1 / np.median(taken):10.0f}{np.median(base['tutorial'] / taken):12.1f}"
            f"{np.median(base['librosa+pillow'] / taken):18.1f}"
        )
    slow, fast = np.array(firsts["tutorial"]), np.array(firsts["specimg 1 worker"])
    print(
        f"\na first call on {n_first} clips, start-up included: tutorial {np.median(slow):.1f} s, specimg {np.median(fast):.2f} s, "
        f"ratio {np.median(slow / fast):.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audio", type=Path, help="folder of recordings; default clips made here")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slow", type=int, default=40, help="clips a round for the slow ways")
    parser.add_argument("--fast", type=int, default=2000, help="clips a round for specimg")
    parser.add_argument("--formats", action="store_true", help="compare file formats instead")
    parser.add_argument("--profile", action="store_true", help="show the stages of drawing instead")
    parser.add_argument("--only", help=argparse.SUPPRESS)  # one way on the files given, for the first call
    parser.add_argument("files", nargs="*", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        seconds_a_clip(args.only, args.files)
        return
    if args.formats or args.profile:
        with tempfile.TemporaryDirectory() as folder:
            (formats if args.formats else profile)(Path(folder), args.slow, args.rounds)
        return
    from specimg.audio import find_audio

    with tempfile.TemporaryDirectory(dir=args.audio and args.audio.parent) as folder:
        folder = Path(folder)
        if args.audio:
            files = [args.audio / name for name in find_audio(args.audio)]
        else:
            (folder / "clips").mkdir()
            make_clips(folder / "clips", 100)
            files = sorted((folder / "clips").iterdir())
        times = steady(files, folder, args.rounds, args.slow, args.fast)
        ways = ("tutorial", "specimg 1 worker")
        firsts = {way: [] for way in ways}
        for _ in range(3):
            for way in ways:
                firsts[way].append(first_call(files[:100], way))
    report(times, firsts, min(100, len(files)))


if __name__ == "__main__":
    main()
