"""Runs the Python of pages as it stands, block by block, in the folder it stands in; `test_docs.py` starts it as a process of its own.

    python tests/pages.py README.md docs/how-to/look-and-listen.md

The folder gets recordings, tables and weights under the names that the pages use, cut from the demo's sounds. What takes long is made small:
networks of timm become its `test_resnet`, with "pretrained" weights in a cache of this folder, and epochs, folds and trials become few.
Names that a page takes from another one (`run`, `learn`, `look` ...) are those of the pages before it, or are made here.
"""

import ast
import builtins
import os
import re
import shutil
import sys
import traceback
import warnings
from pathlib import Path

os.environ |= {"HF_HOME": os.path.abspath("hub"), "HF_HUB_OFFLINE": "1", "MPLBACKEND": "Agg"}  # before timm is imported

import numpy as np
import pandas as pd
import soundfile

KINDS = ("bell", "siren", "rain")
SR = 22050
SMALLER = {
    r'"(resnet34|resnet18|tf_efficientnet_b0)"': '"test_resnet"',
    r"\bepochs=\d+": "epochs=1",
    r"freeze_epochs=\d+": "freeze_epochs=0",
    r"size=224": "size=48",
    r"folds=5": "folds=2",
    r"n_trials=\d+": "n_trials=1",
}
ELSEWHERE = r"/kaggle/|SLURMCluster"  # blocks that name what only stands there


def blocks(page):
    return re.findall(r"^```python\n(.*?)^```", Path(page).read_text(encoding="utf-8"), re.M | re.S)


def keep_weights(name="test_resnet"):
    """Random weights of a network of timm, where the hub's cache would have the trained ones."""
    import timm
    from safetensors.torch import save_file

    folder = Path("hub/hub", "models--" + timm.get_pretrained_cfg(name).hf_hub_id.replace("/", "--"))
    (folder / "refs").mkdir(parents=True)
    (folder / "snapshots" / "1").mkdir(parents=True)
    (folder / "refs" / "main").write_text("1")
    save_file(timm.create_model(name).state_dict(), folder / "snapshots" / "1" / "model.safetensors")


def write(path, y):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.asarray(y, "float32"), SR)


def make_files():
    """The recordings, tables and folders that pages name."""
    from specimg.datasets import make_competition, make_sound
    from specimg.labels import write_corrections

    make_competition("freesound", n_per_class=8, n_test=4, verified=1.0, kinds=KINDS, progress=False)
    rows, night = [], []
    for kind in KINDS:
        for i in range(8):
            y = make_sound(kind, i, sr=SR, seconds=1.0)
            night.append(y)
            write(f"recordings/{kind}/{i}.wav", y)
            for folder in ("birds", "birds/audio"):
                write(f"{folder}/{kind}{i}.wav", y)
            write(f"clips/{KINDS.index(kind)}_{'abcd'[i % 4] * 3}_{i}.wav", y)
            rows.append({"file": f"{kind}{i}.wav", "species": kind, "site": "nsew"[i % 4], "start": 0.0, "end": 1.0})
    pd.DataFrame(rows).to_csv("birds/labels.csv", index=False)
    night = np.concatenate(night)
    for name in ("forest-night.wav", "new-night.wav", "background/a.wav", *(f"nights/{i}.wav" for i in range(4))):
        write(name, np.roll(night, len(name) * SR))
    for name in ("dog.wav", "new/a.wav", "new/b.wav", "night/a.wav"):
        write(name, make_sound("bell", 99, sr=SR, seconds=1.0))
    first = pd.read_csv("freesound/train.csv").iloc[:1]
    write_corrections(
        pd.DataFrame({"path": first["fname"], "label": first["label"], "corrected": first["label"]}), "corrections.csv"
    )
    Path("selections").mkdir()
    for i in range(4):
        boxes = [
            {"Begin Time (s)": 2.0 * k, "End Time (s)": 2.0 * k + 1, "Annotation": KINDS[k % 3]} for k in range(10)
        ]
        pd.DataFrame(boxes).to_csv(f"selections/{i}.Table.1.selections.txt", sep="\t", index=False)


GIVEN = {"look", "comp", "run", "dls", "learn", "clf", "y", "table", "labels"}


def given():
    """What a page may take for granted: names that others make."""
    import specimg as sp

    look = sp.Renderer(sp.Mel(n_mels=48), audio=sp.Audio(sr=16000, duration=5.0))
    comp = sp.Competition.open("freesound-audio-tagging", "freesound/")
    loaders = dict(bs=8, size=48, progress=False)
    run = sp.cross_validate(
        comp,
        look,
        "test_resnet",
        sp.Recipe(epochs=1, freeze_epochs=0),
        folds=2,
        out="runs/given",
        loaders=loaders,
        log=None,
    )
    if not os.path.exists("runs/r34"):
        shutil.copytree("runs/given", "runs/r34")
    dls = sp.SpecDataLoaders.from_folder("recordings", renderer=look, **loaders)
    learn = sp.spec_learner(dls, "test_resnet")
    sp.save_classifier(run, "four-sounds")
    clf = sp.load_classifier("four-sounds")
    y, _ = sp.read_audio("dog.wav", clf.input.audio)
    return dict(look=look, comp=comp, run=run, dls=dls, learn=learn, clf=clf, y=y, table=comp.train, labels=comp.train)


def lacking(block, names):
    """Names that a block uses and nobody has made yet."""
    found = [node for node in ast.walk(ast.parse(block)) if isinstance(node, ast.Name)]
    own = {node.id for node in found if isinstance(node.ctx, ast.Store)} | set(dir(builtins))
    return ({node.id for node in found} - own - set(names)) & GIVEN


def main(pages):
    warnings.simplefilter("ignore")
    keep_weights()
    make_files()
    import specimg as sp

    names = {"sp": sp}
    for page in pages:
        shutil.rmtree("runs/first", ignore_errors=True)  # pages give different trainings, and their reports, one name
        Path("report.html").unlink(missing_ok=True)
        for number, block in enumerate(blocks(page)):
            if re.search(ELSEWHERE, block):
                continue
            for pattern, small in SMALLER.items():
                block = re.sub(pattern, small, block)
            if lacking(block, names) or ("four-sounds" in block and not os.path.exists("four-sounds")):
                names = given() | names
            try:
                exec(compile(block, f"block {number + 1} of {page}", "exec"), names)
            except Exception:
                print(f"{page}, block {number + 1}:\n{block}\n{traceback.format_exc()}", file=sys.stderr)
                sys.exit(1)
            print(page, number + 1)


if __name__ == "__main__":
    main(sys.argv[1:])
