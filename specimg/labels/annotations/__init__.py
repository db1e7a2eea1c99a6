"""Annotations: labelled spans of long recordings, as Raven, Audacity, Praat, Label Studio, BirdNET and others write them.

    boxes = read_annotations("selections/", recordings="nights/")                    # path, start, end, low_hz, high_hz, label ...
    table = label_windows(boxes, "nights/", seconds=5, overlap=2.5)                  # path, start, end, label (lists), group
    dls = SpecDataLoaders.from_df(table, "nights", start_col="start", end_col="end", group_col="group")

`tables` reads files with a header, `tracks` those of Audacity and Praat, `exports` JSON; `recordings` finds the recording that a file names,
`reading` puts them together, `windows` makes label tables. The files are read here, with csv and pandas: crowsetta, the library for them, asks
for newer numpy, pandas, scipy and soundfile than this package and for pandera and pydantic besides; and it has no reader for BirdNET and
Label Studio, refuses Raven's tables with rows for waveforms, and drops labels of Audacity that have no frequencies among those that do.
"""

from .reading import list_annotation_formats, read_annotations
from .windows import label_windows

__all__ = ["label_windows", "list_annotation_formats", "read_annotations"]
