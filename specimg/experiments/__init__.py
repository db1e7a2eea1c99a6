"""Folds x seeds: cross-validation that can be believed and resumed, its answers and their blends, and systems side by side.

    run = cross_validate(comp, Renderer(Mel()), "resnet34", Recipe(epochs=10), folds=5, out="runs/r34")
    run.score, run.oof, run.submission("submission.csv")
    print(blend([run, Run.open("runs/eff")]))
    print(compare(comp, ["resnet34", "mini_resnet"], [Renderer(Mel()), Renderer(Stft())], out="runs/compare"))

`choices` is what is decided, `sides` who is held out when, `task` what is asked and scored, `clips` the way from sounds to
probabilities, `run` what is read from a run's folder, `record` what is written there, `training` one fold of one seed, `cross`
all of them, `blending` several runs as one. `systems` is what is compared, `differences` by how much one is better, `comparison` (with
`tables` and `curves`) what stands side by side in a folder, `bench` where it is measured, `comparing` all of that in one call; `probe`
ranks pictures without training.
"""

from .baseline import feature_baseline, linear_baseline
from .blending import Blend, blend
from .choices import Choices, open_competition
from .comparing import compare
from .comparison import Comparison
from .cross_validation import cross_validate
from .differences import Difference, paired_difference, verdict
from .features import clip_features, feature_table
from .probe import LinearProbe, linear_probe
from .run import Member, Run
from .systems import System
from .task import Score

__all__ = [
    "clip_features",
    "feature_baseline",
    "feature_table",
    "linear_baseline",
    "cross_validate",
    "Run",
    "Member",
    "Score",
    "Choices",
    "open_competition",
    "blend",
    "Blend",
    "compare",
    "Comparison",
    "System",
    "Difference",
    "paired_difference",
    "verdict",
    "linear_probe",
    "LinearProbe",
]
