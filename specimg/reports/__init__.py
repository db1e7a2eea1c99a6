"""One self-contained HTML page to look at what a classifier learnt, and to listen to where it is wrong.

    sp.report(interp, "report.html")                 # or a learner, a run, a blend
    sp.review_sheet(run, "review.html")              # only the clips whose label is most likely wrong
    sp.report(run, audio="moved/recordings", budget_mb=40, cam=0)

The page needs no network and works from a file. Every clip stands there with its spectrogram over seconds and hertz and a player
of exactly the span that was drawn; beyond the budget sounds are linked instead of embedded, and the page says how many.

`facts` reads what was trained on what, `pictures` and `sound` make media small, `maps` asks networks where they looked, `collect`
gathers all of it in one plain dictionary, and `write` puts that and the files of `assets` into one HTML file.
"""

from .write import report, review_sheet

__all__ = ["report", "review_sheet"]
