"""Labels and scores with many ties, clips without a label and classes without a clip."""

import numpy as np

SCORES = np.array(
    [  # the true class stands ...
        [0.70, 0.10, 0.10, 0.10],  # 1st
        [0.40, 0.30, 0.20, 0.10],  # 2nd
        [0.40, 0.30, 0.20, 0.10],  # 3rd
        [0.40, 0.30, 0.20, 0.10],  # 4th
        [0.05, 0.05, 0.10, 0.80],  # 1st
    ]
)


TRUE = np.array([0, 1, 2, 3, 3])


def single_label_data(seed, n=120, classes=6, levels=5):
    """Clips of every class but the last, scored in few levels, so that many scores are equal."""
    rng = np.random.RandomState(seed)
    return rng.randint(0, classes - 1, n), rng.randint(0, levels, (n, classes)) / levels


def multi_label_data(seed, n=90, classes=7, levels=12):
    """Labels, and scores of which many are equal; clip 0 has no label, clip 1 all but that of class 0, which has no clip."""
    rng = np.random.RandomState(seed)
    y_true = (rng.rand(n, classes) < 0.25).astype(int)
    y_true[0], y_true[1], y_true[:, 0] = 0, 1, 0
    scores = rng.randint(0, levels, (n, classes)) / levels
    return y_true, np.clip(scores + 0.2 * y_true * rng.rand(n, 1).round(1), 0, 1)
