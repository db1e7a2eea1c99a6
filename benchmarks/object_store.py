"""Recordings in an object store: bytes and requests for windows of a long recording, and drawing from a store against drawing from a folder.

    python benchmarks/object_store.py                    # an hour of sound, 300 clips, into benchmarks/results/object_store_*.csv
    python benchmarks/object_store.py --minutes 2 --clips 20 --out /tmp

The store is moto's S3 server on loopback, a process of its own (pip install specimg[s3] 'moto[s3]' flask flask-cors). It answers within milliseconds; a real one takes some
30 to 100 ms for the first byte of an answer, so that requests count there as bytes do here. Times take turns; medians of three rounds.
"""

from __future__ import annotations

import argparse
import csv
import logging
import multiprocessing
import os
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import soundfile as sf

import specimg as sp
from specimg.core import addresses

SR = 22050
WINDOW = 5.0  # s
BLOCKS = (2**16, 2**18, 2**19, 2**20, 2**22)
CHOSEN = addresses.BLOCK


def serve(pipe) -> None:
    """The store, in a process of its own; answers "asked" with (requests, bytes) since the last time."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    app, asked = server._server.app, [0, 0]

    def counted(environ, start_response):
        body = b"".join(app(environ, start_response))
        asked[0] += 1
        asked[1] += len(body) * (environ["REQUEST_METHOD"] == "GET")
        return [body]

    server._server.app = counted
    pipe.send("http://{}:{}".format(*server.get_host_and_port()))
    while pipe.recv() == "asked":
        pipe.send(tuple(asked))
        asked[:] = [0, 0]


def tones(seconds: float, seed: int) -> np.ndarray:
    """Chirps in noise, float32 `(samples,)`."""
    rng, t = np.random.default_rng(seed), np.arange(int(seconds * SR)) / SR
    return (0.3 * np.sin(2 * np.pi * (500 + 300 * seed % 3000) * t) + 0.05 * rng.standard_normal(len(t))).astype("f4")


def make_sounds(folder: Path, minutes: float, clips: int) -> None:
    """long/hour.{wav,flac,ogg,mp3}, and clips/*.wav of five seconds."""
    (folder / "long").mkdir()
    (folder / "clips").mkdir()
    for ending in ("wav", "flac", "ogg", "mp3"):
        with sf.SoundFile(folder / "long" / f"hour.{ending}", "w", SR, 1) as file:
            for i in range(round(minutes * 6)):  # ten seconds each: libsndfile's Vorbis breaks down under more at once
                file.write(tones(10, i))
    for i in range(clips):
        sf.write(folder / "clips" / f"{i:04}.wav", tones(WINDOW, i), SR)


def spans_table(folder: Path, minutes: float, asked) -> list[dict]:
    """Requests and bytes of one window in the middle, and of twelve that follow each other; the first with other sizes of a block."""
    rows, middle = [], minutes * 30
    for path in sorted((folder / "long").iterdir()):
        there = path.stat().st_size
        for block in BLOCKS:
            addresses.BLOCK = block
            for windows in (1, 12) if block == CHOSEN else (1,):
                addresses._kept.__dict__.clear()
                asked()
                for i in range(windows):
                    start = middle + i * WINDOW
                    y, _ = sp.read_audio(f"s3://sounds/long/{path.name}", start=start, end=start + WINDOW)
                    assert np.array_equal(y, sp.read_audio(path, start=start, end=start + WINDOW)[0])
                requests, got = asked()
                rows.append(
                    dict(what=f"{windows} x {WINDOW:g} s of {minutes:g} min {path.suffix[1:]}", block_kib=block // 1024,
                         requests=requests, mb=round(got / 1e6, 2), mb_there=round(there / 1e6, 1), share=round(got / there, 4))
                )  # fmt: skip
    addresses.BLOCK = CHOSEN
    return rows


def timed(work, *args) -> tuple[float, float]:
    """(seconds, seconds of this process's CPU) that a call takes."""
    clock, cpu = time.perf_counter(), time.process_time()
    work(*args)
    return time.perf_counter() - clock, time.process_time() - cpu


def drawing_table(folder: Path, rounds: int, asked) -> list[dict]:
    """Drawing clips, a second call, and reading the pictures once as an epoch does: from a folder and from the store, by turns."""
    look = sp.Renderer(sp.Mel(n_mels=128), audio=sp.Audio(sr=SR))
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    n = len(list((folder / "clips").iterdir()))
    store, _ = addresses._opened_store(addresses.as_address("s3://sounds"))

    def draw(source, cache):
        return sp.render_tree(source, look, cache, progress=False, n_jobs=1)

    def read_all(read, names):
        return [read(name) for name in names]

    for turn in range(rounds):
        for where, source in {"folder": folder / "clips", "store": "s3://sounds/clips"}.items():
            with tempfile.TemporaryDirectory() as cache:
                found.setdefault(("drawing", where), []).append(timed(draw, source, cache))
                asked()
                found.setdefault(("second call", where), []).append(timed(draw, source, cache))
                print(f"round {turn + 1}, {where}: {asked()[0]} requests for the second call")
                tree = draw(source, cache)
                pictures = sorted(tree.images.iterdir())
                if where == "store":
                    names = [f"sounds/pictures/{picture.name}" for picture in pictures]
                    for name, picture in zip(names, pictures):
                        store.pipe_file(name, picture.read_bytes())
                    there = timed(read_all, store.cat_file, names)
                else:
                    there = timed(read_all, Path.read_bytes, pictures)
                found.setdefault(("an epoch's pictures", where), []).append(there)
    rows = []
    for (what, where), times in found.items():
        wall, cpu = (statistics.median(each) * 1000 / n for each in zip(*times))
        rows.append(dict(what=f"{what}, {n} clips", where=where, ms_a_clip=round(wall, 3), cpu_ms_a_clip=round(cpu, 3)))
    return rows


def show(rows: list[dict]) -> None:
    """Print a table in Markdown."""
    print("\n| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(map(str, row.values())) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--clips", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--part", choices=["all", "spans", "drawing"], default="all")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder of the tables")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    os.environ |= {"AWS_ENDPOINT_URL": ours.recv(), "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}

    def asked() -> tuple[int, int]:
        ours.send("asked")
        return ours.recv()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_sounds(folder, args.minutes if args.part != "drawing" else 1, args.clips if args.part != "spans" else 1)
        store, _ = addresses._opened_store(addresses.as_address("s3://sounds"))
        store.mkdir("sounds")
        for path in folder.rglob("*.*"):
            store.put_file(str(path), f"sounds/{path.relative_to(folder).as_posix()}")
        store.invalidate_cache()
        tables = {
            "spans": lambda: spans_table(folder, args.minutes, asked),
            "drawing": lambda: drawing_table(folder, args.rounds, asked),
        }
        for part, table in tables.items():
            if args.part in ("all", part):
                rows = table()
                show(rows)
                with open(args.out / f"object_store_{part}.csv", "w", newline="") as file:
                    writer = csv.DictWriter(file, rows[0], lineterminator="\n")
                    writer.writeheader()
                    writer.writerows(rows)
    ours.send("stop")


if __name__ == "__main__":
    main()
