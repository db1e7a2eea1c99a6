from .audio import Audio as Audio, read_audio as read_audio
from .augment import SpecAugment as SpecAugment
from .baseline import linear_baseline as linear_baseline
from .data import SpecBlock as SpecBlock, SpecDataLoaders as SpecDataLoaders, SpecImage as SpecImage
from .interpret import SpecInterpretation as SpecInterpretation
from .labels import (
    add_folds as add_folds,
    labels_from_csv as labels_from_csv,
    labels_from_folders as labels_from_folders,
    labels_from_names as labels_from_names,
)
from .learner import spec_learner as spec_learner
from .picture import Picture as Picture, describe as describe
from .predictions import Predictions as Predictions
from .recipe import Recipe as Recipe, fit as fit
from .render import Renderer as Renderer, SpecTree as SpecTree, render_tree as render_tree
from .representation import (
    Delta as Delta,
    Mel as Mel,
    Mfcc as Mfcc,
    Representation as Representation,
    Stack as Stack,
    Stft as Stft,
    list_representations as list_representations,
)
from .sounds import make_competition as make_competition
