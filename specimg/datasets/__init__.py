"""Public data sets by name: downloaded, checked and unpacked once, and a folder from then on.

>>> import specimg as sp
>>> folder = sp.fetch("ESC-50")                      # doctest: +SKIP
>>> find_dataset("ESC-50").licence
'CC BY-NC 3.0; the clips of its ESC-10 part CC BY'

A download that was broken off goes on where it stopped, and nothing is unpacked whose checksum is wrong. On disk:

    datasets/                        `folder=`; by default in /kaggle/working or the user's cache
      ESC-50-master.zip              only if you put it there: archives downloaded by other means are taken from here
      ESC-50/                        one data set: whole, or not there at all
        specimg-source.json          address, licence and checksums; written last
        ESC-50-master/               what `fetch` returns
      .partial-ESC-50/               what a broken-off download has brought so far
      .lock-ESC-50                   empty; keeps two processes from fetching at once

`catalogue` is what there is, `downloading` what goes on where it stopped, `obtaining` downloads and checks an archive, `unpacking` opens
it, `fetching` does all of it and puts the folder in place; `saying` tells people meanwhile.
"""

from .archives import checksum_verdict
from .catalogue import CHECKSUM, DataSet, RemoteFile, find_dataset, list_datasets
from .download import ResumingDownloader, resume_action
from .fetching import SOURCE, fetch
from .synthesis import chirp, click, list_sounds, make_sound, noise, silence, sine, sound
from .synthetic_competition import SoundCompetition, make_competition
from .unpack import NoRoomError

__all__ = [
    "SoundCompetition",
    "chirp",
    "click",
    "list_sounds",
    "make_competition",
    "make_sound",
    "noise",
    "silence",
    "sine",
    "sound",
    "CHECKSUM",
    "SOURCE",
    "DataSet",
    "NoRoomError",
    "RemoteFile",
    "ResumingDownloader",
    "checksum_verdict",
    "fetch",
    "find_dataset",
    "list_datasets",
    "resume_action",
]
