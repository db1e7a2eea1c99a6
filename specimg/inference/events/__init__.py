"""Windows become events: where a long recording holds what, from when to when.

    windows = clf.predict_windows("night.wav", seconds=5, overlap=2.5)      # a row a window: path, start, end, p_<label> ...
    events = merge_events(windows, threshold=0.7, max_gap=1.0)              # a row an event: path, start, end, label, probability ...
    write_events(events, "night.txt")                                       # Audacity; "night.csv", "night.selections.txt" (Raven)
    plot_windows(windows, events=events)

`merging` makes the events, `formats` writes them for other programs, `scoring` compares them with annotated ones, `strips` draws probabilities over
time.
"""

from .formats import list_event_formats, read_events, write_events
from .merging import merge_events
from .scoring import event_scores
from .strips import plot_windows

__all__ = ["event_scores", "list_event_formats", "merge_events", "plot_windows", "read_events", "write_events"]
