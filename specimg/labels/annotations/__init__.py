"""Annotations: labelled spans of long recordings, as Raven, Audacity, Praat, Label Studio, BirdNET and others write them.

    boxes = read_annotations("selections/", recordings="nights/")                    # path, start, end, low_hz, high_hz, label ...
    table = label_windows(boxes, "nights/", seconds=5, overlap=2.5)                  # path, start, end, label (lists), group
    dls = SpecDataLoaders.from_df(table, "nights", start_col="start", end_col="end", group_col="group")

`tables` reads files with a header, `tracks` those without (Audacity, TextGrid, Label Studio), `recordings` finds the recording that a file
names, `reading` puts them together, `windows` makes label tables. The files are read here, with pandas and csv, because crowsetta, the
library for them, asks for newer numpy, pandas, scipy and soundfile than this package and for pandera and pydantic besides, and reads neither
BirdNET's nor Label Studio's files, nor Audacity's labels with frequencies.
"""

from .reading import list_annotation_formats, read_annotations
from .windows import label_windows

__all__ = ["label_windows", "list_annotation_formats", "read_annotations"]
