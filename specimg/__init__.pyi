from .audio import Audio as Audio, read_audio as read_audio
from .augment import Augment as Augment, SpecAugment as SpecAugment
from .baseline import linear_baseline as linear_baseline
from .data import SpecBlock as SpecBlock, SpecDataLoaders as SpecDataLoaders, SpecImage as SpecImage
from .interpret import SpecInterpretation as SpecInterpretation
from .folds import add_folds as add_folds
from .labels import (
    labels_from_csv as labels_from_csv,
    labels_from_folders as labels_from_folders,
    labels_from_names as labels_from_names,
)
from .learner import spec_learner as spec_learner
from .bundle import Classifier as Classifier, load_classifier as load_classifier, save_classifier as save_classifier
from .picture import Picture as Picture, describe as describe, read_picture as read_picture, show_picture as show_picture
from .predictions import Predictions as Predictions
from .recipe import Recipe as Recipe, fit as fit, load_run as load_run, read_history as read_history
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
