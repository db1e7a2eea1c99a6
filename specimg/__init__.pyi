from .audio import Audio as Audio, loudness as loudness, read_audio as read_audio
from .augment import Augment as Augment, SpecAugment as SpecAugment
from .baseline import feature_baseline as feature_baseline, linear_baseline as linear_baseline
from .bundle import (
    check_classifier as check_classifier,
    Classifier as Classifier,
    coverage_curve as coverage_curve,
    load_classifier as load_classifier,
    plot_coverage as plot_coverage,
    save_classifier as save_classifier,
)
from .cam import Cam as Cam, cam_audio as cam_audio, class_maps as class_maps, clip_cam as clip_cam, clip_cams as clip_cams
from .compete import (
    BestLabels as BestLabels,
    check_submission as check_submission,
    ClassColumns as ClassColumns,
    Competition as Competition,
    Decisions as Decisions,
    LabelSets as LabelSets,
    list_competitions as list_competitions,
)
from .corrections import (
    apply_corrections as apply_corrections,
    read_corrections as read_corrections,
    write_corrections as write_corrections,
)
from .data import SpecBlock as SpecBlock, SpecDataLoaders as SpecDataLoaders, SpecImage as SpecImage
from .datasets import fetch as fetch, list_datasets as list_datasets
from .events import merge_events as merge_events, write_events as write_events
from .features import clip_features as clip_features, feature_table as feature_table
from .folds import add_folds as add_folds
from .interpret import SpecInterpretation as SpecInterpretation
from .labels import (
    labels_from_csv as labels_from_csv,
    labels_from_folders as labels_from_folders,
    labels_from_names as labels_from_names,
)
from .learner import spec_learner as spec_learner
from .losses import Lq as Lq, SoftBootstrap as SoftBootstrap
from .nets import create_net as create_net, list_nets as list_nets
from .page import report as report, review_sheet as review_sheet
from .picture import (
    describe as describe,
    Picture as Picture,
    read_picture as read_picture,
    show_picture as show_picture,
)
from .predictions import Predictions as Predictions
from .recipe import fit as fit, load_run as load_run, read_history as read_history, Recipe as Recipe
from .render import render_tree as render_tree, Renderer as Renderer, SpecTree as SpecTree
from .representation import (
    Chroma as Chroma,
    chroma_mfcc_gfcc as chroma_mfcc_gfcc,
    Contrast as Contrast,
    Cqt as Cqt,
    Delta as Delta,
    Gammatone as Gammatone,
    Gfcc as Gfcc,
    list_representations as list_representations,
    Mel as Mel,
    mel_and_deltas as mel_and_deltas,
    Mfcc as Mfcc,
    Pcen as Pcen,
    Representation as Representation,
    Scaled as Scaled,
    Stack as Stack,
    Stft as Stft,
    three_windows as three_windows,
    Tonnetz as Tonnetz,
    Vqt as Vqt,
)
from .review import label_issues as label_issues
from .runs import (
    blend as blend,
    compare as compare,
    Comparison as Comparison,
    cross_validate as cross_validate,
    linear_probe as linear_probe,
    Run as Run,
    search_recipe as search_recipe,
    System as System,
)
from .sounds import make_competition as make_competition
from .tta import TTA as TTA
from .variants import AddNoise as AddNoise, PitchShift as PitchShift, Roll as Roll, Stretch as Stretch
from .waves import WaveAugment as WaveAugment, WaveBlock as WaveBlock, WaveDataLoaders as WaveDataLoaders
from .windows import cut_windows as cut_windows, silence_clips as silence_clips
