"""The front door hands a room what rooms above it make, and imports nothing before it is asked for."""

import subprocess
import sys

from specimg.core.wiring import provide, provided


def test_what_is_handed_in_is_loaded_when_it_is_asked_for(monkeypatch):
    monkeypatch.setattr("specimg.core.wiring._PROVIDED", {})
    loaded = []
    provide("sum", lambda: loaded.append(1) or sum)
    assert not loaded and provided("sum")([1, 2]) == 3 and loaded


def test_training_finds_the_pages_of_reports_without_importing_them():
    code = (
        "import sys, specimg.training; assert 'specimg.reports' not in sys.modules\n"
        "from specimg.core.wiring import provided; print(provided('training_pages').__module__)"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "specimg.reports.tracked", done.stderr
