"""Functions that draw on given axes: a clip, a confusion matrix, a scatter plot with names, line plots, rows of scores.

They know matplotlib and plain tables, no networks; `SpecInterpretation` calls them. Colours and markers can be told apart with
colour blindness, labels are shown literally (no mathematics, no markup), and sizes follow the number of classes.

    style       text, colours and axes that all share
    panels      pictures of clips over seconds and hertz
    matrices    confusion
    scatter     clips in the plane, with names, hulls, thumbnails
    lines       epochs, learning rates, calibration
    bars        scores of classes and groups, histograms
"""

from . import bars, lines, matrices, panels, scatter, style

__all__ = ["bars", "lines", "matrices", "panels", "scatter", "style"]
