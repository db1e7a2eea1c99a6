"""Figures are seen where matplotlib's own are, once, and thousands of them are not kept."""

import gc
import os
import shutil
import subprocess
import sys
import threading
import warnings
import weakref
from pathlib import Path

import matplotlib.image
import matplotlib.pyplot as plt
import pytest

from specimg.core.figures import SpecFigure, new_figure
from specimg.core.offscreen import offscreen

ROOT = Path(__file__).parents[2]


def drawn():
    figure = new_figure(2, 2)
    figure.add_subplot().plot([0, 1], [0, 1])
    return figure


def test_a_new_figure_is_pyplots_current_one(tmp_path):
    figure = drawn()
    assert figure is plt.gcf() and figure.axes[0] is plt.gca()
    plt.savefig(tmp_path / "x.png")
    assert matplotlib.image.imread(tmp_path / "x.png")[..., :3].min() < 0.5  # not blank


def test_a_loop_keeps_few_figures_and_no_warning_is_issued():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        known = [weakref.ref(drawn()) for _ in range(100)]
    gc.collect()
    alive = [reference() for reference in known if reference() is not None]
    assert len(alive) == len(plt.get_fignums()) == plt.rcParams["figure.max_open_warning"]
    assert alive[-1] is plt.gcf()


def test_figures_of_others_are_not_closed_to_make_room():
    with plt.rc_context({"figure.max_open_warning": 3}):
        other = plt.figure()
        ours = [drawn() for _ in range(4)]
        assert [plt.figure(number) for number in plt.get_fignums()] == [other, *ours[2:]]
    plt.close(other)


def test_a_figure_that_left_pyplot_can_still_be_saved(tmp_path):
    figure = drawn()
    figure.retire()
    assert not plt.get_fignums()
    figure.savefig(tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 1000


def test_any_number_stays_open_where_that_is_wanted():
    with plt.rc_context({"figure.max_open_warning": 0}):
        assert len([drawn() for _ in range(25)]) == len(plt.get_fignums())


def test_pyplot_does_not_know_what_is_drawn_offscreen():
    with offscreen():
        assert isinstance(drawn(), SpecFigure)
    assert not plt.get_fignums()


def test_pyplot_does_not_know_what_a_thread_draws():
    made = []
    thread = threading.Thread(target=lambda: made.append(drawn()))
    thread.start()
    thread.join()
    assert isinstance(made[0], SpecFigure) and not plt.get_fignums()


# ---------------------------------------------------------------------- in a notebook

CELLS = {  # code -> pictures that it shows
    "import matplotlib\n"
    "from specimg.core.figures import new_figure\nfrom specimg.core.offscreen import offscreen\n"
    "matplotlib.rcParams['figure.max_open_warning'] = 4\n"
    "def draw(k=1):\n"
    "    figure = new_figure(2, 2)\n"
    "    figure.add_subplot().plot([0, k])\n"
    "    return figure": 0,
    "draw()": 1,
    "draw();": 1,
    "draw()\n1 + 1": 1,
    "a, b = draw(), draw(2)": 2,
    "for k in range(3): draw(k)": 3,
    "for k in range(6): draw(k)": 6,
    "draw()\ndraw()": 2,
    "kept = draw()\nkept": 1,
    "kept": 1,
    "display(kept)\nprint('below')": 1,
    "display(draw())\nNone": 1,
    "import matplotlib.pyplot as plt\ndraw()\nplt.title('so')\nplt.show()": 1,
    "with offscreen(): draw()": 0,
    "plt.ioff(); draw(); plt.ion(); plt.close('all')": 0,
    "import gc; assert not plt.get_fignums(), plt.get_fignums()": 0,
}


def pictures(cell):
    return sum("image/png" in output.get("data", {}) for output in cell.outputs)


def execute(*cells):
    """The cells of a notebook, executed in a kernel with the backend that a notebook has."""
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in cells])
    client = nbclient.NotebookClient(notebook, kernel_name="python3", timeout=120)
    client.execute(env={**environment, "PYTHONPATH": str(ROOT)})
    return notebook.cells


def test_a_notebook_shows_every_figure_once():
    cells = execute(*CELLS)
    assert {cell.source: pictures(cell) for cell in cells} == CELLS


@pytest.mark.slow
def test_a_notebook_shows_batches_and_results_once(tmp_path, write_wav, sine):
    for k in range(8):
        write_wav(tmp_path / "clips" / ("low", "high")[k % 2] / f"{k}.wav", sine((200, 2000)[k % 2] + 10 * k, 0.5))
    cells = execute(
        "import specimg as sp\nimport warnings\nwarnings.simplefilter('ignore')\n"
        f"dls = sp.SpecDataLoaders.from_folder({str(tmp_path / 'clips')!r}, size=32, bs=4, cache={str(tmp_path)!r}, progress=False)\n"
        "learn = sp.spec_learner(dls, 'mini_resnet', pretrained=False)\nlearn.remove_cbs(learn.progress)",
        "dls.show_batch(max_n=2)\nprint('below')",
        "learn.show_results(max_n=2)",
        "learn.show_results(max_n=2)\nprint('below')",
        "interp = sp.SpecInterpretation.from_learner(learn)\ninterp.plot_confusion_matrix(); interp.plot_top_losses(2)",
        "page = sp.report(interp, 'report.html', progress=False)".replace("report.html", str(tmp_path / "report.html")),
        "learn.lr_find()",
    )
    assert [pictures(cell) for cell in cells] == [0, 1, 1, 1, 2, 0, 1]


# ---------------------------------------------------------------------- in a window

WINDOWS = """
import sys, warnings
import matplotlib.pyplot as plt
from specimg.core.figures import new_figure
from specimg.core.offscreen import offscreen

def draw():
    figure = new_figure(2, 2)
    figure.add_subplot().plot([0, 1])
    return figure

first = draw()
assert plt.get_backend().lower() == "tkagg" and first is plt.gcf()
plt.savefig(sys.argv[1])
plt.show(block=False)
assert first.canvas.manager.window.winfo_exists()
with offscreen():
    draw()
assert plt.get_fignums() == [1]
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    for _ in range(20):
        draw()
assert len(plt.get_fignums()) == 20 and not plt.fignum_exists(1), plt.get_fignums()
assert [str(one.message).split(",")[0] for one in said] == ["20 figures are open"], said
first.savefig(sys.argv[1])
"""


@pytest.fixture
def display():
    """A display without a screen; skipped where there is none, or no toolkit."""
    pytest.importorskip("tkinter")
    if not shutil.which("Xvfb"):
        pytest.skip("no Xvfb for windows without a screen")
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-nolisten", "tcp"], pass_fds=[writing], stderr=subprocess.DEVNULL
    )
    os.close(writing)
    with os.fdopen(reading) as answer:
        number = answer.readline().strip()
    yield f":{number}"
    server.terminate()
    server.wait()


def run(code, *args, **environment):
    own = ("DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND")
    there = {name: value for name, value in os.environ.items() if name not in own}
    there |= {"PYTHONPATH": str(ROOT), **environment}
    return subprocess.run([sys.executable, "-c", code, *args], env=there, capture_output=True, text=True)


def test_a_window_shows_figures_as_pyplots_own(display, tmp_path):
    done = run(WINDOWS, str(tmp_path / "x.png"), DISPLAY=display, MPLBACKEND="TkAgg")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "x.png").stat().st_size > 1000


def test_a_machine_without_a_display_draws_quietly(tmp_path):
    code = "import sys\nfrom specimg.core.figures import new_figure\nnew_figure(2, 2).savefig(sys.argv[1])"
    done = run(code, str(tmp_path / "x.png"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "x.png").exists()
