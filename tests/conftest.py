"""What every test shares: no windows, no leftover figures, small disks, and real digits where there are any."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when timm is imported: no test ever asks a hub

import numpy as np
import pytest
import soundfile as sf
from hub_server import hub  # noqa: F401  a fixture
from object_store import s3, s3_server  # noqa: F401  fixtures


@pytest.fixture
def write_wav():
    """write_wav(path, y, sr=16000, **soundfile's) -> Path; folders are made."""

    def write(path, y, sr=16000, **kwargs):
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        sf.write(path, y, sr, **kwargs)
        return path

    return write


@pytest.fixture
def sine():
    """sine(hz, seconds=1.0, sr=16000) -> float32 samples at half of full scale."""

    def make(hz, seconds=1.0, sr=16000):
        return (0.5 * np.sin(2 * np.pi * hz * np.arange(int(seconds * sr)) / sr)).astype("float32")

    return make


@pytest.fixture(scope="session")
def fsdd():
    """The recordings of the Free Spoken Digit Dataset (8 kHz); tests of them are skipped where they are not."""
    folder = Path(__file__).parents[2] / "shared" / "data" / "fsdd" / "recordings"
    if not folder.is_dir():
        pytest.skip(f"no spoken digits in {folder}")
    return folder


@pytest.fixture
def mount_tmpfs():
    """mount_tmpfs(folder, options="size=1m") mounts a small disk of its own there; skips where that is not allowed."""
    mounted = []

    def mount(folder, options="size=1m"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]
        if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("no disk may be mounted here")
        mounted.append(folder)
        return Path(folder)

    yield mount
    for folder in mounted:
        subprocess.run(["umount", folder], check=True)


@pytest.fixture(autouse=True)
def no_figures_left():
    """Every test closes what it draws; a figure registered with pyplot by another way than `core.figures` fails here."""
    yield
    import sys

    if "matplotlib.pyplot" in sys.modules:
        from specimg.core.figures import SpecFigure

        plt = sys.modules["matplotlib.pyplot"]
        left = [number for number in plt.get_fignums() if not isinstance(plt.figure(number), SpecFigure)]
        plt.close("all")
        assert not left, f"{len(left)} figures left open"


@pytest.fixture
def peak_memory():
    """peak_memory(prepare, code, error=ValueError): MB by which `code`, which must raise the error, raises the memory of a process above
    what it took after `prepare` (imports)."""

    def measure(prepare: str, code: str, error: str = "ValueError") -> float:
        script = f"""
import resource
used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
{prepare}
before = used()
try:
    {code}
except {error}:
    print("peak", used() - before)
"""
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0 and "peak" in done.stdout, done.stderr[-2000:] or "nothing was raised"
        return int(done.stdout.rpartition("peak ")[2]) / 1024  # of kB

    return measure
