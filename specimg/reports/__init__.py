"""Pages: one to see what a classifier learnt and to listen to its mistakes, and one to try it on sounds of one's own.

    sp.report(interp, "report.html")                 # or a learner, a run, a blend, the folder of a run or a training
    sp.review_sheet(run, "review.html")              # only the clips whose label is most likely wrong
    sp.report(run, audio="moved/recordings", budget_mb=40, cam=0)
    sp.serve("dog-or-not/")                          # record, or drop files, and see what it answers

The report needs no network connection and works from a file. Every clip has its spectrogram over seconds and hertz and a player of
exactly the span that was drawn; beyond the budget sounds are linked instead of embedded, and the page counts them.

`page_source` reads what is given as a `subject`, `media` makes its `pictures`, `sound` and class maps, `charts` draws its figures, `collect`
gathers everything else in one dictionary, and `write` puts all of it and the files of `assets` into one HTML file. `answers` are what
`app`, the page of `serve`, shows of a recording; `space` writes that page as a Hugging Face Space.
"""

from .app import make_app, serve
from .space import write_space
from .write import report, review_sheet

__all__ = ["make_app", "report", "review_sheet", "serve", "write_space"]
