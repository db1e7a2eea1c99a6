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

from .bars import draw_groups, draw_histograms, draw_scores, group_marks, row_axes, score_marks, title_rows
from .lines import draw_calibration, draw_history, draw_rates, trainings
from .matrices import draw_matrix, matrix_size
from .panels import draw_clip, frame_clip, head_row, title_clip
from .scatter import (
    MAX_THUMBNAILS,
    class_centres,
    class_legend,
    draw_hulls,
    draw_points,
    draw_thumbnails,
    hull,
    legend_size,
    map_side,
    mark_centres,
    name_centres,
)
from .style import BAD, GOOD, axes, axes_for, colour, first, legend, marker, named, number, settle, short

__all__ = [
    "BAD",
    "GOOD",
    "axes",
    "axes_for",
    "colour",
    "first",
    "legend",
    "marker",
    "named",
    "number",
    "settle",
    "short",
    "draw_clip",
    "frame_clip",
    "head_row",
    "title_clip",
    "draw_matrix",
    "matrix_size",
    "MAX_THUMBNAILS",
    "class_legend",
    "class_centres",
    "draw_hulls",
    "draw_points",
    "draw_thumbnails",
    "hull",
    "legend_size",
    "map_side",
    "mark_centres",
    "name_centres",
    "draw_calibration",
    "draw_history",
    "draw_rates",
    "trainings",
    "draw_groups",
    "draw_histograms",
    "draw_scores",
    "group_marks",
    "row_axes",
    "score_marks",
    "title_rows",
]
