"""The parts of plots by themselves: words that fit, sizes that can be read, hulls of odd clouds, trainings in one history."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from specimg.interpret.plots import lines, matrices, scatter, style


def test_words_are_cut_in_the_middle():
    assert style.short("recording_0001.wav", 11) == "recor…1.wav" and style.short("a\n b", 11) == "a b"
    assert style.named(["rain", "wind"]) == "rain, wind" and style.named([]) == style.named(None) == "none"
    assert style.number(-0.0001) == "0.00" and style.number(float("nan")) == "nan"


def test_names_are_left_out_where_they_would_touch():
    assert style.text_that_fits(0.5) == (10, 1)
    size, every = style.text_that_fits(0.02)
    assert size == 4 and every * 0.02 * 72 >= size > (every - 1) * 0.02 * 72


def test_axes_for_takes_the_first_and_empties_the_rest():
    given = Figure().subplots(2, 2)
    figure, mine = style.axes_for(given, 3, 1, 1)
    assert figure is given[0, 0].figure and mine == [given[0, 0], given[0, 1], given[1, 0]] and not given[1, 1].axison
    figure, mine = style.axes_for(None, 5, 2, 1, columns=3)
    assert len(mine) == 5 and tuple(figure.get_size_inches()) == (6, 2)
    with pytest.raises(ValueError, match="1 axes for 2 maps; give one for each, or ask for fewer"):
        style.axes_for(Figure().subplots(), 2, 1, 1, noun="maps")


def corners(points, share=1.0):
    return sorted(map(tuple, scatter.hull(np.array(points, float), share).tolist()))


def test_hulls():
    square = [(0, 0), (0, 2), (2, 0), (2, 2)]
    assert corners([*square, (1, 1), (0.5, 1)]) == square
    assert corners([*square, (1, 1), (50, 50)], share=0.7) == square  # 5 of 6, the far one left out
    assert corners([(0, 0), (1, 1), (3, 3), (2, 2)]) == [(0, 0), (3, 3)]
    assert corners([(1, 2)]) == corners([(1, 2)] * 5) == [(1, 2), (1, 2)]


def test_trainings_of_a_history():
    history = pd.DataFrame({"seed": [0, 0, 0, 1], "fold": [1, 0, 0, 0], "train_loss": [1.0, 2, 3, 4]})
    assert [part["train_loss"].tolist() for part in lines.trainings(history)] == [[2, 3], [1], [4]]
    assert len(lines.trainings(history[["train_loss"]])) == 1


def test_one_clip_can_be_seen_among_many_classes():
    table = pd.DataFrame(np.diag([500.0] * 30))
    table.iloc[0, 7] = 1
    ax = Figure(figsize=(3, 3)).add_subplot()
    matrices.draw_matrix(ax, table, normalize=False)
    image = ax.images[0]
    white, one = (image.cmap(image.norm(value)) for value in (0.0, 1.0))
    assert white[:3] == (1, 1, 1) and min(one[:3]) < 0.85
