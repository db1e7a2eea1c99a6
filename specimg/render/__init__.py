"""Folders of recordings become a cached tree of pictures.

    look = Renderer(Mel(n_mels=128), Picture(), Audio(sr=32000))
    look("dog.wav")                                        # one picture, in memory
    tree = render_tree("audio_train", look)                # all of them, in parallel, on disk
    tree.table; tree.failures; tree.picture("dog.wav"); tree.show("dog.wav")

`renderer` draws one recording; `plan` decides what has to be drawn, `manifest` remembers what was, `tree` does it; `prepare` draws in
memory, for networks that are asked about new recordings.
"""

from .manifest import DRAWN, FAILED, UNREADABLE, Manifest, Row, read_rows
from .plan import render_action
from .renderer import Renderer
from .tree import SpecTree, render_tree

__all__ = [
    "DRAWN",
    "FAILED",
    "UNREADABLE",
    "Manifest",
    "Renderer",
    "Row",
    "SpecTree",
    "read_rows",
    "render_action",
    "render_tree",
]
