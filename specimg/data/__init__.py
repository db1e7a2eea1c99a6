"""Trees and labels become fastai DataLoaders.

    dls = SpecDataLoaders.from_csv("freesound", "train.csv", folder="audio_train", fn_col="fname", label_col="label",
                                   renderer=Renderer(Mel(), Picture(), Audio(sr=32000)), cache="cache")
    dls.show_batch()              # with each clip's own seconds and hertz
    dls.renderer, dls.tree        # how the pictures were drawn, and where they lie

Missing pictures are drawn first; then everything is plain fastai: a DataBlock of `SpecBlock` and `CategoryBlock` (or
`MultiCategoryBlock`) over a table with one row a clip. `SpecDL` is fastai's loader with three things added: it remembers which
clips a batch holds, draws them on real axes, and can sample by weight.

Clips differ in length, a batch may not. `method` says how they are brought to one `size`: "squish" squeezes the whole clip,
"pad" keeps the time scale and pads, "crop" shows a random window of `seconds` in training and several evenly spread ones,
averaged, in validation.

`tables` brings labels and pictures together, `sides` splits them, `sizes` settles one size, `sources` takes what people predict on, and
`loaders` makes fastai's loaders of it all.
"""

from .augment import Augment, SpecAugment
from .clip_table import find_pictures
from .images import SpecImage, TensorSpec
from .inputs import NetworkInput, PictureInput, WaveInput
from .loader import ClipDL, SpecBlock, SpecDL
from .loaders import ClipDataLoaders, SpecDataLoaders
from .sizes import Sizing
from .sources import as_clips, list_sources
from .split import Split, SplitClips, split_clips
from .tta import TTA
from .wave_loaders import WaveBlock, WaveDataLoaders
from .waves import WaveAugment

__all__ = [
    "Augment",
    "ClipDL",
    "ClipDataLoaders",
    "NetworkInput",
    "PictureInput",
    "WaveInput",
    "SpecAugment",
    "TTA",
    "WaveAugment",
    "WaveBlock",
    "WaveDataLoaders",
    "Sizing",
    "Split",
    "SplitClips",
    "SpecBlock",
    "SpecDL",
    "SpecDataLoaders",
    "SpecImage",
    "TensorSpec",
    "as_clips",
    "find_pictures",
    "list_sources",
    "split_clips",
]
