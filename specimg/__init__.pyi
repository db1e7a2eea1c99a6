from . import (
    audio as audio,
    cli as cli,
    competitions as competitions,
    core as core,
    data as data,
    datasets as datasets,
    experiments as experiments,
    inference as inference,
    interpret as interpret,
    labels as labels,
    metrics as metrics,
    models as models,
    render as render,
    reports as reports,
    spectrogram as spectrogram,
    training as training,
)
from .audio import (
    Audio as Audio,
    AudioError as AudioError,
    cut_windows as cut_windows,
    read_audio as read_audio,
    silence_clips as silence_clips,
)
from .competitions import (
    BestLabels as BestLabels,
    Competition as Competition,
    check_submission as check_submission,
    list_competitions as list_competitions,
)
from .data import (
    Augment as Augment,
    SpecBlock as SpecBlock,
    SpecDataLoaders as SpecDataLoaders,
    SpecImage as SpecImage,
    TTA as TTA,
    WaveBlock as WaveBlock,
    WaveDataLoaders as WaveDataLoaders,
)
from .datasets import fetch as fetch, list_datasets as list_datasets, make_competition as make_competition
from .experiments import (
    Run as Run,
    blend as blend,
    compare as compare,
    cross_validate as cross_validate,
    feature_baseline as feature_baseline,
    linear_baseline as linear_baseline,
    linear_probe as linear_probe,
    push_to_hub as push_to_hub,
)
from .inference import (
    check_classifier as check_classifier,
    load_classifier as load_classifier,
    merge_events as merge_events,
    read_events as read_events,
    save_classifier as save_classifier,
    write_events as write_events,
)
from .interpret import SpecInterpretation as SpecInterpretation, cam_audio as cam_audio, label_issues as label_issues
from .labels import (
    add_folds as add_folds,
    apply_corrections as apply_corrections,
    label_windows as label_windows,
    labels_from_audiofolder as labels_from_audiofolder,
    labels_from_csv as labels_from_csv,
    labels_from_folders as labels_from_folders,
    labels_from_names as labels_from_names,
    read_annotations as read_annotations,
    read_corrections as read_corrections,
    write_corrections as write_corrections,
)
from .models import create_net as create_net, list_nets as list_nets
from .render import Renderer as Renderer, SpecTree as SpecTree, render_tree as render_tree
from .reports import report as report, review_sheet as review_sheet, serve as serve
from .spectrogram import (
    Chroma as Chroma,
    Cqt as Cqt,
    Delta as Delta,
    Gammatone as Gammatone,
    Gfcc as Gfcc,
    Mel as Mel,
    Mfcc as Mfcc,
    Pcen as Pcen,
    Picture as Picture,
    Scaled as Scaled,
    Stack as Stack,
    Stft as Stft,
    Tonnetz as Tonnetz,
    Vqt as Vqt,
    list_representations as list_representations,
    show_picture as show_picture,
    three_windows as three_windows,
)
from .training import Recipe as Recipe, fit as fit, spec_learner as spec_learner
from .inference import events as events
from .models import nets as nets
