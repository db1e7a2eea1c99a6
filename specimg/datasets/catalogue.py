"""The catalogue of data sets: their archives, checksums and licences. Nothing here opens a connection.

A data set of one's own is written the same way, and converts to JSON:

    birds = DataSet("birds", (RemoteFile("https://example.org/birds.zip", "birds.zip", "sha256:..."),),
                    licence="CC BY 4.0", home="https://example.org", about="600 songs of 6 birds")
    fetch(birds)

>>> find_dataset("FSDD").licence
'CC BY-SA 4.0'
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..core.values import Value, choose, register

SUFFIXES = (".zip", ".tar.gz", ".tgz", ".tar")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
CHECKSUM = re.compile(r"md5:[0-9a-f]{32}|sha1:[0-9a-f]{40}|sha256:[0-9a-f]{64}")


@register
@dataclass(frozen=True)
class RemoteFile(Value):
    """One archive of a data set: .zip, .tar, .tar.gz or .tgz.

    Parameters
    ----------
    url : str
        Its address, https:// or http://.
    name : str
        Name of the file on disk, as a browser would call it.
    checksum : str, default None
        "md5:...", "sha1:..." or "sha256:..."; None if none is published.
    size : int, default None
        Bytes; shown to people, never checked.
    stable : bool, default True
        False if the server packs the archive again at times: a different checksum is a warning then.

    Examples
    --------
    >>> RemoteFile("https://example.org/birds.zip", "birds.zip").stable
    True
    """

    url: str
    name: str
    checksum: str | None = None
    size: int | None = None
    stable: bool = True

    def _check(self):
        if urlsplit(self.url).scheme not in ("http", "https"):
            raise ValueError(f"address {self.url!r} does not begin with https:// or http://")
        if not NAME.fullmatch(self.name) or not self.name.endswith(SUFFIXES):
            raise ValueError(
                f"file name {self.name!r}: give letters, digits, '.', '_' or '-', and an ending of {', '.join(SUFFIXES)}"
            )
        if self.checksum is not None and not CHECKSUM.fullmatch(self.checksum):
            raise ValueError(
                f"checksum {self.checksum!r}: write 'md5:', 'sha1:' or 'sha256:' and the digest in small hexadecimal digits"
            )


def total_size(files: Sequence[RemoteFile]) -> int | None:
    """Bytes of some archives; None if one of their sizes is not known."""
    sizes = [file.size for file in files]
    return None if None in sizes else sum(sizes)


@register
@dataclass(frozen=True)
class DataSet(Value):
    """A data set and where it comes from. `fetch` accepts one of your own as well as the name of a known one.

    Parameters
    ----------
    name : str
        Its name, also that of its folder: letters, digits, '.', '_' or '-'.
    files : tuple of RemoteFile
        Its archives, at least one, each with its own name.
    licence : str
        The licence, or that it is not known.
    home : str
        Address of a page about it.
    about : str
        What it holds.
    notes : str, default ""
        What a user should know.
    size : int, default None
        Bytes of all archives, approximately; None is the sum of theirs.

    Examples
    --------
    >>> find_dataset("ESC-50").files[0].name
    'ESC-50-master.zip'
    """

    name: str
    files: tuple[RemoteFile, ...]
    licence: str
    home: str
    about: str
    notes: str = ""
    size: int | None = None

    def _check(self):
        if not NAME.fullmatch(self.name):
            raise ValueError(
                f"name of a data set {self.name!r}: give letters, digits, '.', '_' or '-', starting with a letter or digit"
            )
        names = {file.name.lower() for file in self.files}  # some file systems ignore case
        if not self.files or len(names) < len(self.files):
            raise ValueError(
                f"data set {self.name!r} has {len(self.files)} files of {len(names)} different names; give one or more, "
                "each its own name"
            )
        if not self.licence:
            raise ValueError(f"data set {self.name!r} has no licence; say which, or that it is not known")

    @property
    def download_size(self) -> int | None:
        """Bytes of all archives, approximately; None if that is not known."""
        return self.size or total_size(self.files)


# ---------------------------------------------------------------------- the known ones

_TENSORFLOW = "https://storage.googleapis.com/download.tensorflow.org/data/"
_ZENODO_2018 = "https://zenodo.org/records/2552860/files/"
_WARDEN = dict(licence="CC BY 4.0", home="https://arxiv.org/abs/1804.03209")
_SPLIT = "validation_list.txt and testing_list.txt name the published split, which keeps speakers apart"


def _archive(
    url: str, checksum: str, size: int | None = None, name: str = "", stable: bool = True
) -> tuple[RemoteFile]:
    """The one archive of a data set, named like the end of its address."""
    return (RemoteFile(url, name or urlsplit(url).path.rpartition("/")[2], checksum, size, stable),)


# Checksums as torchaudio, TensorFlow Datasets, soundata and MTEB write them. GitHub packs its archives on demand: not stable.
_KNOWN = (
    DataSet(
        "mini_speech_commands",
        _archive(
            _TENSORFLOW + "mini_speech_commands.zip",
            "sha256:49650f2341b26d886b46b3f4fb8fed59e30300b17550f1ee4a768b3106cf93a0",
            182_082_353,
        ),
        **_WARDEN,
        about="8,000 spoken commands of one second, 8 words, 16 kHz; one folder per word",
    ),
    DataSet(
        "speech_commands_v1",
        _archive(
            _TENSORFLOW + "speech_commands_v0.01.tar.gz",
            "sha256:743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d",
            1_489_096_277,
        ),
        **_WARDEN,
        about="64,727 spoken commands of one second, 30 words, 16 kHz; one folder per word, and longer background noises",
        notes=_SPLIT,
    ),
    DataSet(
        "speech_commands_v2",
        _archive(
            _TENSORFLOW + "speech_commands_v0.02.tar.gz",
            "sha256:af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
            2_428_923_189,
        ),
        **_WARDEN,
        about="105,829 spoken commands of one second, 35 words, 16 kHz; one folder per word, and longer background noises",
        notes=_SPLIT,
    ),
    DataSet(
        "ESC-50",
        _archive(
            "https://github.com/karolpiczak/ESC-50/archive/master.zip",
            "md5:7771e4b9d86d0945acce719c7a59305a",
            645_695_005,
            "ESC-50-master.zip",
            stable=False,
        ),
        licence="CC BY-NC 3.0; the clips of its ESC-10 part CC BY",
        home="https://github.com/karolpiczak/ESC-50",
        about="2,000 environmental sounds of five seconds, 50 classes, 5 folds; audio/ and meta/esc50.csv",
        notes="the column esc10 of meta/esc50.csv marks the ESC-10 part",
    ),
    DataSet(
        "UrbanSound8K",
        _archive(
            "https://zenodo.org/record/1203745/files/UrbanSound8K.tar.gz?download=1",
            "md5:9aa69802bbf37fb986f71ec1483a196e",
            6_023_741_708,
        ),
        licence="CC BY-NC 4.0",
        home="https://urbansounddataset.weebly.com/urbansound8k.html",
        about="8,732 urban sounds of up to four seconds, 10 classes, 10 folds; audio/fold1 ... fold10 and metadata/UrbanSound8K.csv",
        notes="use the given folds: a random split puts parts of one recording into both training and validation",
    ),
    DataSet(
        "FSDKaggle2018",
        tuple(
            _archive(f"{_ZENODO_2018}FSDKaggle2018.{part}.zip?download=1", f"md5:{md5}")[0]
            for part, md5 in (
                ("audio_train", "a8b47ff4b52022c178f88fa5c6f080d0"),
                ("audio_test", "f85c8665c3fc39311ea1b748e194a81d"),
                ("meta", "f16828ac8be0e5285b9175a12f90d784"),
                ("doc", "4f2d1ac88f33a62f9db3108b269ee1b7"),
            )
        ),
        licence="mixed, some of it non-commercial: CC0, CC BY or CC BY-NC, clip by clip in the column license",
        home="https://zenodo.org/records/2552860",
        about="11,073 clips of 0.3 to 30 seconds, 41 classes, from Kaggle's freesound-audio-tagging of 2018; four folders FSDKaggle2018.*",
        notes="its checksums come from one source only",
        size=4_940_000_000,
    ),
    DataSet(
        "FSDD",
        _archive(
            "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/v1.0.9.tar.gz",
            "sha256:8bc44cde129d505cbbb6b365c09f80c663f2aa77578afc634e6141a2f87100c0",
            11_975_353,
            "free-spoken-digit-dataset-1.0.9.tar.gz",
            stable=False,
        ),
        licence="CC BY-SA 4.0",
        home="https://github.com/Jakobovski/free-spoken-digit-dataset",
        about="2,500 spoken digits, 5 speakers, 8 kHz; recordings/<digit>_<speaker>_<number>.wav (Free Spoken Digit Dataset 1.0.9)",
    ),
)
_DATASETS = {data.name: data for data in _KNOWN}


def list_datasets() -> list[str]:
    """The names that `fetch` accepts.

    Returns
    -------
    list of str
        Sorted.

    Examples
    --------
    >>> list_datasets()[:3]
    ['ESC-50', 'FSDD', 'FSDKaggle2018']
    """
    return sorted(_DATASETS)


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", str(name).lower())


def find_dataset(name: str) -> DataSet:
    """The catalogue's entry of a data set: licence, home page, archives.

    Parameters
    ----------
    name : str
        One of `list_datasets()`.

    Returns
    -------
    DataSet

    Raises
    ------
    ValueError
        The name is unknown; the message suggests the closest ones.

    Examples
    --------
    >>> find_dataset("FSDD").about
    '2,500 spoken digits, 5 speakers, 8 kHz; recordings/<digit>_<speaker>_<number>.wav (Free Spoken Digit Dataset 1.0.9)'
    """
    alike = [known for known in _DATASETS if _bare(known) == _bare(name) and known != name]
    if alike:
        raise ValueError(f"unknown data set {name!r}; did you mean {alike[0]!r}?")
    return _DATASETS[choose(name, _DATASETS, "data set")]
