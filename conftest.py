"""What the examples in docstrings may use without a word: `sp`, `np`, `pd`, and a folder of small recordings to stand in.

An example that names `dls`, `learn`, `clf`, `interp`, `comp` or `run` finds a small one ready made. It runs in a folder of its own that holds
`dog.wav` and `night.wav` (two labels' worth of tones), `clips/<label>/*.wav`, and `labels.csv` with the columns fname, label, group.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import warnings

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when timm is imported: no example ever asks a hub

SR = 8000
HZ = {"cat": 1500, "dog": 300}


def write_recordings(folder) -> None:
    """Twelve clips of half a second, a dog that is one of them, and a night of four seconds."""
    import numpy as np
    import pandas as pd
    import soundfile as sf

    rng, rows = np.random.default_rng(0), []

    def tone(hz, seconds):
        t = np.arange(int(SR * seconds)) / SR
        return (0.4 * np.sin(2 * np.pi * hz * t) + 0.02 * rng.standard_normal(len(t))).astype("float32")

    for label, hz in HZ.items():
        (folder / "clips" / label).mkdir(parents=True)
        for i in range(6):
            sf.write(folder / "clips" / label / f"{label}{i}.wav", tone(hz * (1 + 0.02 * i), 0.5), SR)
            rows.append({"fname": f"{label}/{label}{i}.wav", "label": label, "group": f"yard{i % 3}"})
    sf.write(folder / "dog.wav", tone(300, 0.5), SR)
    sf.write(folder / "night.wav", np.concatenate([tone(300, 2), tone(1500, 2)]), SR)
    pd.DataFrame(rows).to_csv(folder / "labels.csv", index=False)


@pytest.fixture(scope="session")
def _example_recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    write_recordings(folder)
    return folder


@pytest.fixture(scope="session")
def _example_objects(_example_recordings, tmp_path_factory):
    """name -> what examples find under it, each made when it is first asked for."""
    import specimg as sp

    folder, cache, made = _example_recordings, tmp_path_factory.mktemp("cache"), {}
    renderer = sp.Renderer(sp.Mel(n_mels=32, n_fft=256, hop_length=64))

    def make(name):
        if name == "dls":
            return sp.SpecDataLoaders.from_csv(
                folder, "labels.csv", folder="clips", fn_col="fname", label_col="label", group_col="group",
                renderer=renderer, cache=cache, bs=4, num_workers=0, progress=False,
            )  # fmt: skip
        if name == "learn":
            learn = sp.spec_learner(get("dls"), "mini_resnet", pretrained=False, seed=0)
            with learn.no_bar(), learn.no_logging():
                learn.fit(1, 1e-3)
            return learn
        if name == "clf":
            where = tmp_path_factory.mktemp("saved") / "classifier"
            sp.save_classifier(get("learn"), where)
            return sp.load_classifier(where)
        if name == "interp":
            return sp.SpecInterpretation.from_learner(get("learn"))
        if name == "comp":
            table = sp.labels_from_csv(folder / "labels.csv", fn_col="fname", label_col="label", group_col="group")
            return sp.Competition("two-sounds", folder / "clips", table)
        return sp.cross_validate(
            get("comp"), renderer, "mini_resnet", sp.Recipe(epochs=1, freeze_epochs=0, lr=1e-3), folds=2,
            out=tmp_path_factory.mktemp("runs") / "first",
            loaders=dict(bs=4, cache=cache, progress=False, num_workers=0), learner=dict(pretrained=False),
        )  # fmt: skip

    def get(name):
        if name not in made:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                made[name] = make(name)
        return made[name]

    return get


@pytest.fixture(autouse=True)
def _examples(request, doctest_namespace):
    """Only doctests get anything: names, and a fresh copy of the folder to stand in."""
    if type(request.node).__name__ != "DoctestItem":
        yield
        return
    import numpy as np
    import pandas as pd

    import specimg as sp

    registries = [
        sp.metrics.registry._METRICS,
        sp.metrics.registry._AT_K,
        sp.competitions.LAYOUTS,
        sp.datasets.synthesis._SOUNDS,
    ]
    registered = [dict(registry) for registry in registries]  # what an example registers is gone after it
    folder = request.getfixturevalue("tmp_path") / "here"
    shutil.copytree(request.getfixturevalue("_example_recordings"), folder)
    doctest_namespace.update(sp=sp, np=np, pd=pd)
    source = "\n".join(example.source for example in request.node.dtest.examples)
    if re.search(r"\b(make_app|serve|write_space)\(", source):
        pytest.importorskip("gradio", reason="gradio is not installed: pip install specimg[serve]")
    for name in ("dls", "learn", "clf", "interp", "comp", "run"):
        if re.search(rf"\b{name}\b", source) and not re.search(rf"^{name} = ", source, re.M):
            doctest_namespace[name] = request.getfixturevalue("_example_objects")(name)
    request.node.dtest.globs.update(doctest_namespace)
    before = os.getcwd()
    os.chdir(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    os.chdir(before)
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
    for registry, entries in zip(registries, registered):
        registry.clear()
        registry.update(entries)
    doctest_namespace.clear()
