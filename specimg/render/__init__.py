"""Folders of recordings become a cached tree of pictures.

    renderer = Renderer(Mel(n_mels=128), Picture(), Audio(sr=32000))
    renderer("dog.wav")                                    # one picture, in memory
    tree = render_tree("audio_train", renderer)            # all of them, in parallel, on disk
    tree.table; tree.failures; tree.picture("dog.wav"); tree.show("dog.wav")

`renderer` draws one recording; `plan` decides what has to be drawn, `manifest` remembers what was, `versions` which libraries drew it,
and `tree` does it; `prepare` draws in memory, for networks that predict new recordings.
"""

from .plan import render_action
from .renderer import Renderer
from .tree import SpecTree, render_tree

__all__ = ["Renderer", "SpecTree", "render_action", "render_tree"]
