"""A folder that is a Hugging Face Space as it stands: `serve`'s page, for people who have nothing but a browser.

    write_space("dog-or-not/", "space/")          # app.py, requirements.txt, README.md and the classifier
    python space/app.py                           # the same page on this machine

`specimg space dog-or-not space --push user/dog-or-not` pushes it as well.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from .. import __version__
from ..core.files import write_atomic
from ..inference import Classifier, save_classifier
from .app import import_gradio, named_classifiers

CLASSIFIERS = "classifiers"

_APP = f'''"""A page to try the classifiers in the folder {CLASSIFIERS}."""

from pathlib import Path

import specimg as sp

sp.serve(sorted((Path(__file__).parent / "{CLASSIFIERS}").iterdir()))
'''

_REQUIREMENTS = """# torch for CPUs; without this line pip takes the one for CUDA, which is gigabytes larger
--extra-index-url https://download.pytorch.org/whl/cpu
{requirement}
"""

_README = """---
title: {title}
emoji: 🔊
colorFrom: indigo
colorTo: yellow
sdk: gradio
sdk_version: {gradio}
python_version: "{python}"
app_file: app.py
tags: [specimg, audio-classification]
---

A page to try classifiers of sounds, made by specimg. `python app.py` opens it on any machine that has what requirements.txt lists.
"""


def _folder_name(name: str) -> str:
    """A name that a folder may have on any system."""
    return re.sub(r"[^\w-]+", "-", name, flags=re.ASCII).strip("-") or "classifier"


def write_space(
    classifiers: Classifier | str | os.PathLike | Sequence | Mapping,
    out: str | os.PathLike,
    *,
    title: str | None = None,
    golden: int = 6,
    requirement: str | None = None,
) -> Path:
    """Write a folder that is a Hugging Face Space as it stands: the page of `serve`, what it needs, and the classifiers.

    Parameters
    ----------
    classifiers : Classifier, path, sequence of them, or mapping of names to them
        Classifiers or their folders, also on the Hub.
    out : str or path
        The folder: new, or that of an earlier Space, where a classifier of another name stays beside those that are written.
    title : str, optional
        Of the Space; default the names of the classifiers.
    golden : int, default 6
        Golden clips to take along of each classifier, which become the page's examples, for everybody to hear; 0 if recordings must not travel.
    requirement : str, optional
        Where the Space gets specimg from, as a line of requirements.txt: such as "specimg[serve] @ git+https://..." for a version of your
        own; default "specimg[serve]>=" with this version.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ModuleNotFoundError
        Without gradio, whose version the Space is told: `pip install specimg[serve]`.
    ValueError
        If the folder holds something else, or a folder is no classifier.

    Examples
    --------
    >>> import os
    >>> from specimg.reports import write_space
    >>> space = write_space(clf, "space", title="Cat or dog?")
    >>> sorted(os.listdir(space))
    ['README.md', 'app.py', 'classifiers', 'requirements.txt']
    """
    import_gradio()
    out, requirement = Path(out), requirement or f"specimg[serve]>={__version__}"
    if "\n" in requirement:
        raise ValueError(f"requirement={requirement!r}: give one line of requirements.txt")
    app, is_new = out / "app.py", not out.exists() or (out.is_dir() and not any(out.iterdir()))
    if not is_new and not (app.is_file() and app.read_text(encoding="utf-8", errors="replace") == _APP):
        raise ValueError(f"{str(out)!r} holds something that is no Space of specimg; give a new folder for it")
    named = named_classifiers(classifiers)
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(app, _APP.encode())  # first: what is not finished may be written again
    folders = [_folder_name(name) for name in named]
    for i, (folder, clf) in enumerate(zip(folders, named.values()), 1):
        save_classifier(
            clf, out / CLASSIFIERS / (folder if folders.count(folder) == 1 else f"{i}-{folder}"), golden=golden
        )
    write_atomic(out / "requirements.txt", _REQUIREMENTS.format(requirement=requirement).encode())
    python = ".".join(map(str, sys.version_info[:2]))
    shown = json.dumps(title or ", ".join(named), ensure_ascii=False)  # JSON's strings are YAML's
    readme = _README.format(title=shown, gradio=version("gradio"), python=python)
    write_atomic(out / "README.md", readme.encode())
    return out
