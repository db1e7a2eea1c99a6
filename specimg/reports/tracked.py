"""What a training that is tracked ends with: its pictures and its page. `specimg.training` asks for it by way of the front door.

for name, part in training_pages(learn, Path("scratch")):      # figures, then the path of report.html
    ...
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fastai.vision.all import Learner
from matplotlib.figure import Figure

from ..core.warnings import warn
from ..experiments import Run
from ..interpret import SpecInterpretation
from .write import report

TOP = 9  # clips of the largest losses


def final_figures(interp: SpecInterpretation) -> dict[str, Figure]:
    """Learning curves, the clips of the largest losses, and where a clip has one label the confusion matrix."""
    figures = {}
    if interp.history is not None:
        figures["learning_curves"] = interp.plot_learning_curves()
    figures["top_losses"] = interp.plot_top_losses(TOP)
    if not interp.predictions.is_multi:
        figures["confusion"] = interp.plot_confusion_matrix()
    return figures


def training_pages(what: Learner | Run, place: Path, page: bool = True) -> Iterator[tuple[str, Figure | Path]]:
    """Name after name what a learner or a run ends with: figures, and with `page` the report, which is written into `place`.

    Of a learner of something else than classes, or without validation clips, there is nothing, and a warning says so.
    """
    try:
        if isinstance(what, Run):
            interp = SpecInterpretation.from_run(what)
        else:
            with what.no_bar(), what.no_logging():
                interp = SpecInterpretation.from_learner(what)
        yield from final_figures(interp).items()
        if page:
            yield "report", report(what if isinstance(what, Run) else interp, place / "report.html", progress=False)
    except ValueError as exc:
        warn(f"no pictures and no report are tracked: {exc}")
