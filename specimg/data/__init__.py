"""Trees and labels become fastai DataLoaders.

    dls = SpecDataLoaders.from_csv("freesound", "train.csv", folder="audio_train", fn_col="fname", label_col="label",
                                   renderer=Renderer(Mel(), Picture(), Audio(sr=32000)), cache="cache")
    dls.show_batch()              # with each clip's own seconds and hertz
    dls.renderer, dls.tree        # how the pictures were drawn, and where they lie

Missing pictures are drawn first; then everything is plain fastai: a DataBlock of `SpecBlock` and `CategoryBlock` (or
`MultiCategoryBlock`) over a table with one row a clip. `WaveDataLoaders` do the same for networks that take the waveform.

`clip_table` brings labels and pictures together, `split` holds clips out, `sizes` settles one size, `batches` and `loader` make fastai's
loaders of them, `images`, `waves`, `augment` and `tta` are their transforms, `inputs` define what a network is given, and `sources` takes what
people predict on.
"""

from .augment import Augment, SpecAugment
from .images import SpecImage, TensorSpec
from .inputs import NetworkInput, PictureInput, WaveInput
from .loader import SpecBlock
from .loaders import ClipDataLoaders, SpecDataLoaders
from .sizes import Sizing
from .split import Split, SplitClips, split_clips
from .tta import TTA
from .wave_augment import WaveAugment
from .wave_loaders import WaveBlock, WaveDataLoaders
from .waves import TensorWave

__all__ = [
    "Augment",
    "ClipDataLoaders",
    "NetworkInput",
    "PictureInput",
    "Sizing",
    "SpecAugment",
    "SpecBlock",
    "SpecDataLoaders",
    "SpecImage",
    "Split",
    "SplitClips",
    "TTA",
    "TensorSpec",
    "TensorWave",
    "WaveAugment",
    "WaveBlock",
    "WaveDataLoaders",
    "WaveInput",
    "split_clips",
]
