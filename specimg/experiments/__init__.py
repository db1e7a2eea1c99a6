"""Folds x seeds: cross-validation that can be resumed, blends of runs, and candidates side by side.

    run = cross_validate(comp, Renderer(Mel()), "resnet34", Recipe(epochs=10), folds=5, out="runs/r34")
    run.score, run.oof, run.submission("submission.csv")
    print(blend([run, Run.open("runs/eff")]))
    print(compare(comp, ["resnet34", "mini_resnet"], [Renderer(Mel()), Renderer(Stft())], out="runs/compare"))

From below: `config` is the configuration of a run, `held_out` who is held out when, `task` what is scored and predicted, `drawing` the way
from clips to probabilities, `fold_run` one network, `run` all of them as read from a folder; `storage` writes that folder, `fold_training`
trains a network, `cross_validation` all networks; `budget` (with `budget_workers`) submits within a time, `precision` says what
fewer bits cost there; `blending` combines runs. `significance` says by how much one run is better,
`post_processing` which steps after the network help, `candidates` is what is compared, `comparison` (with `learning_curves`) what is read from
a folder, `comparing` makes one. `probe` ranks pictures without training; `baseline` (with `audio_features`) are linear models to beat. `hub` pushes what
was trained to the Hugging Face Hub.
"""

from .audio_features import clip_features, feature_columns, feature_table
from .baseline import FeatureBaseline, LinearBaseline, feature_baseline, linear_baseline
from .blending import Blend, blend
from .budget import Pace, SubmissionReport, estimate_seconds, largest_part, submit_within
from .candidates import Candidate
from .comparing import compare
from .comparison import Comparison
from .config import RunConfig, open_competition
from .cross_validation import cross_validate
from .fold_run import FoldRun
from .hub import push_to_hub
from .post_processing import PostProcessingChoice, choose_post_processing, default_candidates
from .precision import PrecisionLoss, precision_loss
from .probe import LinearProbe, linear_probe
from .run import Run
from .significance import Difference, paired_difference, verdict
from .task import Score

__all__ = [
    "Blend",
    "Candidate",
    "Comparison",
    "Difference",
    "FeatureBaseline",
    "FoldRun",
    "LinearBaseline",
    "LinearProbe",
    "Pace",
    "PostProcessingChoice",
    "PrecisionLoss",
    "Run",
    "RunConfig",
    "Score",
    "SubmissionReport",
    "blend",
    "choose_post_processing",
    "clip_features",
    "compare",
    "cross_validate",
    "default_candidates",
    "estimate_seconds",
    "feature_baseline",
    "feature_columns",
    "feature_table",
    "largest_part",
    "linear_baseline",
    "linear_probe",
    "open_competition",
    "paired_difference",
    "precision_loss",
    "push_to_hub",
    "submit_within",
    "verdict",
]
