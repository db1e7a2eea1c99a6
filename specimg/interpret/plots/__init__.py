"""One thing drawn on given axes each: a clip, a confusion matrix, a cloud of points with names, curves, rows of scores.

These functions know matplotlib and plain tables, nothing of networks; `interpret` fills them. Colours and markers are told
apart by colour-blind readers, labels are text however much they look like markup, and sizes follow the number of classes.

    common      words, colours and axes that all share
    clips       pictures on seconds and hertz
    matrices    confusion
    maps        clouds of clips, with names, hulls, thumbnails
    curves      epochs, learning rates, calibration
    bars        scores of classes and groups, histograms
"""

from .bars import draw_groups, draw_histograms, draw_scores, group_marks, row_axes, score_marks, title_rows
from .clips import draw_clip, frame_clip, head_row, title_clip
from .common import BAD, GOOD, axes, axes_for, colour, first, legend, marker, named, number, say, settle, short
from .curves import draw_calibration, draw_history, draw_rates, trainings
from .matrices import draw_matrix, matrix_size
from .scatter import (
    MAX_THUMBNAILS,
    class_legend,
    class_places,
    draw_hulls,
    draw_points,
    draw_thumbnails,
    hull,
    legend_size,
    map_side,
    mark_places,
    name_places,
)

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
    "say",
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
    "class_places",
    "draw_hulls",
    "draw_points",
    "draw_thumbnails",
    "hull",
    "legend_size",
    "map_side",
    "mark_places",
    "name_places",
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
