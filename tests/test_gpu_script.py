"""benchmarks/gpu.py runs on a CPU at a tiny size, keeps within its time, and a part that fails costs itself only."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu.py"


@pytest.mark.slow
def test_the_gpu_script_measures_each_network_on_a_cpu(tmp_path):
    out = tmp_path / "gpu.csv"
    command = [sys.executable, str(SCRIPT), "--tiny", "--out", str(out), "--seconds", "480", "--parts"]
    subprocess.run([*command, "tree", "live", "resnet34", "inception_v3", "efficientnet_b0"], check=True, timeout=500)
    rows = list(csv.DictReader(out.open()))
    assert {(row["part"], row["mode"]) for row in rows} >= {
        ("loader", "tree"),
        ("loader", "live"),
        ("epoch", "tree"),
        ("epoch", "live"),
        ("synthetic", "bf16"),
        ("synthetic", "channels_last"),
    }
    assert {row["network"] for row in rows} == {"", "resnet34", "inception_v3", "efficientnet_b0"}
    assert all(float(row["pictures_per_second"]) > 0 for row in rows)


def test_a_part_without_time_is_said_and_fails_the_script(tmp_path):
    command = [sys.executable, str(SCRIPT), "--tiny", "--out", str(tmp_path / "gpu.csv"), "--seconds", "0", "--parts"]
    done = subprocess.run([*command, "resnet34", "tree"], capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout.count("the rest goes on") == 2
