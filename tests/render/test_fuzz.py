"""Trees damaged by chance, for a bounded time: opened, mended or refused by a ValueError, and no file outside is touched.

`benchmarks/fuzz_folder.py` does the same for as long as one likes.
"""

import random
import warnings

import fuzz_folder


def test_damaged_trees(tmp_path):
    tree, results = fuzz_folder.make_tree(tmp_path), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(60):
            results.append(fuzz_folder.try_tree(random.Random(seed), tree, tmp_path)[1])
    assert set(results) == {"refused", "answered"} and results.count("refused") > 15
