"""Public data sets by name, downloaded, checked and unpacked once; and synthetic sounds with known answers.

>>> import specimg as sp
>>> folder = sp.fetch("ESC-50")                      # doctest: +SKIP
>>> find_dataset("ESC-50").licence
'CC BY-NC 3.0; the clips of its ESC-10 part CC BY'
>>> make_sound("bell", rng=0, sr=16000).dtype
dtype('float32')

A broken-off download resumes where it stopped, and nothing is unpacked whose checksum is wrong. On disk:

    datasets/                        `folder=`; by default in /kaggle/working or the user's cache
      ESC-50-master.zip              only if you put it there: archives downloaded by other means are taken from here
      ESC-50/                        one data set, complete
        specimg-source.json          address, licence and checksums; written last
        ESC-50-master/               what `fetch` returns
      .partial-ESC-50/               what a broken-off download has brought so far
      .lock-ESC-50                   empty; keeps two processes from fetching at once

`catalogue` lists the data sets, `download` resumes, `archives` obtains and checks, `unpack` unpacks, `fetching` does all of it and puts
the folder in place; `synthesis` makes sounds, `synthetic_competition` a competition of them.
"""

from .catalogue import DataSet, RemoteFile, find_dataset, list_datasets
from .fetching import fetch
from .synthesis import chirp, click, list_sounds, make_sound, noise, silence, sine, sound
from .synthetic_competition import make_competition

__all__ = [
    "DataSet",
    "RemoteFile",
    "chirp",
    "click",
    "fetch",
    "find_dataset",
    "list_datasets",
    "list_sounds",
    "make_competition",
    "make_sound",
    "noise",
    "silence",
    "sine",
    "sound",
]
