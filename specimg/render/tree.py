"""Folders of recordings become a cached tree of pictures.

    renderer = Renderer(Mel(n_mels=128), Picture(), Audio(sr=32000))
    tree = render_tree("audio_train", renderer)            # in parallel, on disk
    tree.table; tree.failures; tree.picture("dog.wav"); tree.show("dog.wav")

A second call draws only what is new or changed. An unreadable file costs one row with its reason, never the run; a kill costs the
pictures in flight. The bytes of a picture depend on the recording and the renderer alone, not on workers or order.

    cache/audio_train-mel128-0f9e8d7c6b5a/
      renderer.json                 the renderer, and the library versions that drew with it
      manifest.db, manifest.csv     one row a picture
      images/<path>.png             "00044347.wav" -> "00044347.wav.png"; a variant adds its name: "00044347.wav@stretch-0.8.png"

The key at the end of the name is a digest of the renderer, the format number and the source, so that pictures of another format
are never in one tree. `versions` has the rule for libraries whose numbers change.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import os
import platform
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..audio import AudioError, UnreadableError
from ..audio.decode import SampleBuffer
from ..audio.errors import OutOfReachError
from ..audio.faults import FAULTS
from ..audio.find import decoder_of_name
from ..audio.read import read_clip
from ..audio.variants import Variant, seeded, variants_by_name
from ..core.addresses import Address, as_folder, join, list_stored, refuse_address
from ..core.arguments import names_arguments
from ..core.cache import default_cache
from ..core.clusters import WorkerError
from ..core.failures import FULL, explained
from ..core.files import files_below, refuse_links, unlinked, write_atomic
from ..core.hub import local_folder
from ..core.installed import installed_versions
from ..core.parallel import map_chunks
from ..core.progress import progress_bar
from ..core.text import examples
from ..core.warnings import warn
from ..spectrogram.picture import check_numbers, picture_problem, show_picture
from .manifest import DRAWN, FAILED, HAS_PICTURE, PARTIAL, UNREADABLE, Manifest, Row, read_rows
from .plan import Job, jobs_of_files, jobs_of_segments, name_below, render_action, resolve_source, stat_of, variant_jobs
from .prepare import MAX_SAMPLES
from .renderer import Renderer
from .versions import Recorded, compare_versions, read_facts, read_versions, warn_of_versions

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure
    import pandas as pd

FORMAT = 2  # of a tree; in its key, raised when the same renderer draws other bytes
UNNAMEABLE = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EILSEQ)  # the name is what is wrong, not the disk
IN_FLIGHT = 600  # s; younger files without a row may belong to a process that is still drawing
# status that a worker gives a recording it cannot read, of which this process knew the size; never stored
UNSEEN = "unseen"
NO_TREE = "no tree"  # status that a worker gives all its jobs where it does not see the tree; never stored


# ---------------------------------------------------------------------- drawing


def _write_picture(path: str, png: bytes) -> None:
    """`write_atomic`, again where the folder was deleted in the middle of it."""
    for _ in range(3):
        with contextlib.suppress(FileNotFoundError):
            return write_atomic(path, png)
    write_atomic(path, png)


def _draw_one(
    renderer: Renderer, root: str, images: str, variants: dict[str, Variant], job: Job, buffer: SampleBuffer
) -> Row:
    """Draw one picture into the tree. Problems of the recording go into the row; problems of the disk are raised."""
    vary = seeded(variants[job.variant], job.path, job.start, job.end) if job.variant else None
    path = join(root, job.path)
    try:
        clip = read_clip(path, renderer.audio, job.start, job.end, buffer, vary, MAX_SAMPLES)
        png = renderer.encode(clip)
    except OutOfReachError as exc:
        raise ConnectionError(str(exc)) from exc
    except AudioError as exc:
        if job.size is not None and not isinstance(root, Address) and not os.access(path, os.R_OK):
            return Row(*job, UNSEEN, f"{exc.reason} (on {platform.node()})", None, None)
        return Row(*job, UNREADABLE if isinstance(exc, UnreadableError) else FAILED, exc.reason, None, None)
    except ImportError:
        raise  # a package that is not installed is not a fault of the file
    except ValueError as exc:
        return Row(*job, FAILED, str(exc), None, None)
    # whatever else one file does must not end the run; as its cause is unknown, it is tried again
    except Exception as exc:
        return Row(*job, UNREADABLE, f"{type(exc).__name__}: {exc}", None, None)
    try:
        _write_picture(os.path.join(images, job.picture), png)
    except OSError as exc:
        if exc.errno not in UNNAMEABLE:
            raise
        return Row(*job, FAILED, f"no picture can have the name {job.picture!r}: {exc.strerror}", None, None)
    status = PARTIAL if clip.problem else DRAWN
    return Row(*job, status, clip.problem, clip.duration, clip.source_sr, "; ".join(clip.faults))


_own = threading.local()  # joblib's workers may be threads, each of which needs a work array of its own


def _draw_chunk(renderer: Renderer, root: str, images: str, variants: dict[str, Variant], jobs: list[Job]) -> list[Row]:
    """Draw some pictures, in this process and thread; what a worker runs."""
    described = os.path.join(os.path.dirname(images), "renderer.json")
    if not os.path.exists(described):  # pictures would go to a folder that nobody else sees
        return [Row(*job, NO_TREE, f"{described!r} is not there (on {platform.node()})", None, None) for job in jobs]
    buffer = _own.__dict__.setdefault("buffer", SampleBuffer())
    return [_draw_one(renderer, root, images, variants, job, buffer) for job in jobs]


def _not_seen(folder: Path, root: str, row: Row) -> str:
    """What a worker did not see and this process does; "" if nothing. FileNotFoundError if the tree is not here either."""
    if row.status == NO_TREE:
        if not (folder / "renderer.json").exists():
            raise FileNotFoundError(errno.ENOENT, "the tree was deleted")
        return f"the tree {str(folder)!r}"
    path = os.path.join(root, row.path)
    here = row.status == UNSEEN and os.access(path, os.R_OK) and stat_of(path) == (row.size, row.mtime)
    return repr(path) if here else ""


def _seen(folder: Path, root: str, rows: list[Row]) -> list[Row]:
    """Rows of a worker as they are stored. WorkerError if it cannot read what this process can: all others will fail too."""
    for row in rows:
        if what := _not_seen(folder, root, row):
            raise WorkerError(
                f"a worker cannot read {what}, which is there for this process: {row.reason}. Workers on other machines, in containers "
                f"or of other users need the recordings and the cache at the same paths, and the right to read and write there"
            )
    return [row._replace(status=UNREADABLE) if row.status == UNSEEN else row for row in rows]


def _disk_error(folder: Path, exc: OSError) -> OSError:
    """The same kind of error with a message that names the ways out."""
    if isinstance(exc, (ChildProcessError, TimeoutError)):
        return exc
    if isinstance(exc, ConnectionError):
        return ConnectionError(f"{exc}; what is drawn is kept: call again to draw the rest")
    if exc.errno in FULL:
        return OSError(
            exc.errno,
            f"no space left while drawing into {str(folder)!r}; what is drawn is kept: make room, or choose another "
            f"cache=, and call again to go on",
        )
    if exc.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return PermissionError(
            exc.errno, f"the tree {str(folder)!r} cannot be written to; choose another folder with cache="
        )
    if folder.parent.is_dir() and not (folder / "manifest.db").exists():
        return FileNotFoundError(
            errno.ENOENT, f"the tree {str(folder)!r} was deleted while it was being drawn; call again to draw it anew"
        )
    return OSError(exc.errno or errno.EIO, f"drawing into {str(folder)!r} failed: {exc}")


# ---------------------------------------------------------------------- the tree


def _tree_name(renderer: Renderer, root: str, name: str | None) -> str:
    """<slug>-<key>"""
    slug = re.sub(r"[^A-Za-z0-9._+-]+", "_", f"{name or os.path.basename(root) or 'root'}-{renderer.slug}")[:80]
    identity = json.dumps([renderer.to_dict(), FORMAT, ["name", name] if name else ["root", root]], sort_keys=True)
    return f"{slug}-{hashlib.blake2b(identity.encode('utf-8', 'surrogatepass'), digest_size=6).hexdigest()}"


def _dropped(file: Path) -> str:
    """Delete a damaged picture, or an empty folder in its place; what to add to its problem if that is not possible."""
    try:
        file.rmdir() if file.is_dir() else file.unlink(missing_ok=True)
    except OSError as exc:
        return f"; it could not be deleted ({exc.strerror}): remove it by hand"
    return ""


def _faulty(rows: list[Row]) -> dict[str, list[str]]:
    """What makes sound hardly usable -> the recordings of which it does; variants do not count."""
    noted = [(set(row.note.split("; ")), row.path) for row in rows if row.note and not row.variant]
    found = {fault: [path for notes, path in noted if fault in notes] for fault in FAULTS}
    return {fault: paths for fault, paths in found.items() if paths}


def _images_of(folder: Path) -> Path:
    """The folder of the pictures, if it is one; ValueError if something else has its name."""
    images = unlinked(folder, "images")
    if images.exists() and not images.is_dir():
        raise ValueError(f"{str(images)!r} is no folder; remove it, and the next render_tree draws the tree again")
    return images


def _files_of(folder: Path) -> Iterator[tuple[str, os.DirEntry]]:
    """Every file below a tree's images/: its name there, its entry. OutsideError at a link, beyond which nothing may be deleted."""
    return files_below(_images_of(folder))


class SpecTree:
    """A tree of pictures on disk; `render_tree` makes it, `SpecTree.open` finds it again. `len(tree)` counts its pictures.

    Parameters
    ----------
    root : Path
        Folder of the tree.
    renderer : Renderer
        What drew it.
    source : Path or Address
        Folder of the recordings, as it was when they were drawn; or its address in a store.
    rows : list of Row
        The pictures asked for.

    Examples
    --------
    >>> tree = sp.render_tree("clips", sp.Renderer(sp.Mel(n_mels=32)), cache="cache", progress=False)
    >>> len(tree), tree.picture("dog/dog0.wav").name
    (12, 'dog0.wav.png')
    >>> tree.table[["path", "status", "duration", "sr"]].head(1)
               path status  duration    sr
    0  cat/cat0.wav  drawn       0.5  8000
    """

    def __init__(self, root: Path, renderer: Renderer, source: Path | Address, rows: list[Row]):
        self.root, self.renderer, self.source = Path(root), renderer, as_folder(source)
        self._rows = rows

    @classmethod
    def open(cls, folder: str | os.PathLike) -> SpecTree:
        """Open a tree; its recordings may be elsewhere or gone.

        A warning names the libraries of which another version is installed than drew the tree.

        Parameters
        ----------
        folder : str or os.PathLike
            Folder of the tree; or an address on the Hub, `hf://user/name[@revision][:subfolder]`, that `push_to_hub` filled.

        Returns
        -------
        SpecTree
            With all rows that were ever drawn into it.

        Raises
        ------
        ValueError
            If there is no tree, or its files are damaged.
        ConnectionError
            If the Hub is out of reach, and it is not in huggingface_hub's cache.
        """
        folder = local_folder(folder, ["renderer.json"], "a tree")
        _images_of(folder)
        try:
            facts = read_facts(folder)
        except FileNotFoundError as exc:
            below = sorted(p.parent.name for p in folder.glob("*/renderer.json"))
            hint = f"; it holds the trees {', '.join(below[:8])}" if below else ""
            raise ValueError(f"{str(folder)!r} is not a tree (it has no renderer.json){hint}") from exc
        try:
            check_numbers(facts["renderer"])
            renderer, source = Renderer.from_dict(facts["renderer"]), as_folder(facts["source"])
        except (KeyError, TypeError, ValueError) as exc:
            raise ValueError(f"{str(folder / 'renderer.json')!r} does not describe a tree: {exc}") from exc
        recorded = read_versions(folder)
        warn_of_versions(folder, compare_versions(recorded, installed_versions(set(recorded) - {"specimg"})))
        return cls(folder, renderer, source, read_rows(folder))

    def __len__(self) -> int:
        return sum(row.status in HAS_PICTURE for row in self._rows)

    def __repr__(self) -> str:
        failed = len(self._rows) - len(self)
        faults = "".join(f", {len(paths)} {fault}" for fault, paths in _faulty(self._rows).items())
        return f"SpecTree({len(self)} pictures{f', {failed} failures' * bool(failed)}{faults}, {str(self.root)!r})"

    @property
    def images(self) -> Path:
        """The folder of the pictures."""
        return self.root / "images"

    @functools.cached_property
    def table(self) -> pd.DataFrame:
        """One row a picture asked for: path, start, end (s), variant, picture, size (bytes), mtime (ns), status, reason, duration (s), sr (Hz),
        note (what makes the sound hardly usable)."""
        import pandas as pd

        return pd.DataFrame(self._rows, columns=list(Row._fields))

    @property
    def failures(self) -> pd.DataFrame:
        """The rows without a picture: path, start, end and the reason."""
        table = self.table
        return table.loc[~table.status.isin(HAS_PICTURE), ["path", "start", "end", "reason"]].reset_index(drop=True)

    @functools.cached_property
    def _by_path(self) -> dict[str, list[Row]]:
        found = {}
        for row in self._rows:
            found.setdefault(row.path, []).append(row)
        return found

    @property
    def originals(self) -> pd.DataFrame:
        """The rows of `table` that show recordings as they are, not variants of them."""
        return self.table[self.table["variant"] == ""].reset_index(drop=True)

    def rows(self, pictures: Iterable[str]) -> list[Row]:
        """The rows of pictures, as the manifest has them, numbers to the last digit.

        Parameters
        ----------
        pictures : iterable of str
            Their names below `images`, the column `picture` of `table`.

        Returns
        -------
        list of Row
            In the order of the names.

        Raises
        ------
        KeyError
            If there is no such picture.
        """
        known = {row.picture: row for row in self._rows}
        return [known[picture] for picture in pictures]

    def picture(self, path: str | os.PathLike, start: float | None = None, variant: Variant | str = "") -> Path:
        """The PNG of a recording, or of a segment of it.

        Parameters
        ----------
        path : str or os.PathLike
            The recording, as a path below the source or a whole path.
        start : float, optional
            Seconds where the segment begins; needed if the recording has several pictures.
        variant : Variant or str, default ""
            A variant that was drawn, or its name; default the recording as it is.

        Returns
        -------
        Path

        Raises
        ------
        ValueError
            If it was not drawn, with the reason.
        """
        name, variant = os.fspath(path), getattr(variant, "name", variant)
        if name not in self._by_path:
            source = self.source if isinstance(self.source, Address) else os.path.realpath(self.source)
            name = name_below(source, name)
        rows = self._by_path.get(name)
        if not rows:
            raise ValueError(f"no picture of {name!r} in {self!r}; call render_tree again if it is new")
        if variant not in {r.variant for r in rows}:
            raise ValueError(
                f"{name!r} has no picture of {f'its variant {variant!r}' if variant else 'itself'}; "
                f"it has {', '.join(sorted({repr(r.variant) for r in rows}))}: give variant="
            )
        rows = [r for r in rows if r.variant == variant]
        chosen = rows if start is None else [r for r in rows if abs((r.start or 0.0) - start) < 1e-6]
        if len(chosen) != 1:
            starts = ", ".join(f"{r.start or 0.0:g}" for r in rows[:12])
            raise ValueError(
                f"{name!r} has {len(chosen) or 'no'} pictures{'' if start is None else f' from {start:g} s'}; it is drawn from {starts} s: give start="
            )
        if chosen[0].status not in HAS_PICTURE:
            raise ValueError(f"{name!r} was not drawn: {chosen[0].reason}")
        return self.images / chosen[0].picture

    def show(
        self,
        path: str | os.PathLike,
        start: float | None = None,
        ax: matplotlib.axes.Axes | None = None,
        variant: Variant | str = "",
    ) -> matplotlib.figure.Figure:
        """Draw the picture of a recording with seconds and hertz on its axes.

        Parameters
        ----------
        path, start, variant
            As in `picture`.
        ax : matplotlib.axes.Axes, optional
            Axes to draw on; default a new figure.

        Returns
        -------
        matplotlib.figure.Figure
        """
        title = " ".join(filter(None, [os.path.basename(os.fspath(path)), getattr(variant, "name", variant)]))
        return show_picture(self.picture(path, start, variant), ax=ax, title=title)

    def verify(self, drop: bool = False) -> pd.DataFrame:
        """Read every picture and list those that are missing or damaged.

        Parameters
        ----------
        drop : bool, default False
            Delete damaged pictures, so that the next `render_tree` draws them again.

        Returns
        -------
        DataFrame
            `path`, `picture`, `problem`; empty if all pictures are intact.

        Raises
        ------
        ValueError
            If something in the tree is a link; then nothing is deleted.
        """
        import pandas as pd

        if drop:
            refuse_links(_images_of(self.root))
        damaged = []
        for row in self._rows:
            file = self.images / row.picture
            problem = picture_problem(file, self.renderer.representation) if row.status in HAS_PICTURE else None
            if problem:
                damaged.append((row.path, row.picture, problem + (_dropped(file) if drop else "")))
        return pd.DataFrame(damaged, columns=["path", "picture", "problem"])

    def gc(self) -> list[str]:
        """Delete pictures of recordings that are gone, pictures without a row, and what killed processes left.

        Returns
        -------
        list of str
            Names of the files that were deleted.

        Raises
        ------
        ValueError
            If the recordings' folder itself is gone, or something in the tree is a link; then nothing is deleted.
        """
        is_stored = isinstance(self.source, Address)
        if not is_stored and not self.source.is_dir():
            raise ValueError(
                f"the recordings' folder {str(self.source)!r} is not there, so nobody can say which pictures still belong; nothing was deleted"
            )
        stored = list_stored(self.source) if is_stored else {}
        now, pictures = time.time(), dict(_files_of(self.root))
        with Manifest(self.root) as manifest:
            rows = manifest.rows()
            gone = {
                r.picture
                for r in rows
                if not (r.path in stored if is_stored else os.path.lexists(self.source / r.path))
            }
            known = {r.picture for r in rows if r.status in HAS_PICTURE} - gone
            stray = [
                name
                for name, entry in pictures.items()
                if name not in known and (name in gone or now - entry.stat(follow_symlinks=False).st_mtime > IN_FLIGHT)
            ]
            for name in stray:
                (self.images / name).unlink(missing_ok=True)
            if gone:
                manifest.drop(gone)
                manifest.export()
        self.__init__(self.root, self.renderer, self.source, [r for r in self._rows if r.picture not in gone])
        for cached in ("table", "_by_path"):
            self.__dict__.pop(cached, None)
        return sorted(stray)


# ---------------------------------------------------------------------- the whole of it


def _warn_failures(rows: list[Row]) -> None:
    failed = [r for r in rows if r.status not in HAS_PICTURE]
    if failed:
        example = "; ".join(f"{r.path}: {r.reason}" for r in failed[:3])
        warn(
            f"{len(failed)} of {len(rows)} clips could not be drawn ({example}{'; ...' * (len(failed) > 3)}); see tree.failures"
        )


def _warn_partial(rows: list[Row]) -> None:
    partial = [f"{r.path}: {r.reason}" for r in rows if r.status == PARTIAL and not r.variant]
    if partial:
        warn(
            f"{len(partial)} of {len(rows)} clips are drawn only as far as their recording goes ({examples(partial, mark='; ')}); "
            f"their status is {PARTIAL!r}"
        )


def _warn_faults(rows: list[Row]) -> None:
    """Say how many clips can be drawn and hold hardly usable sound, by what is wrong with them."""
    found = _faulty(rows)
    if found:
        n = len({row.picture for row in rows if row.note and not row.variant})
        each = "; ".join(f"{len(paths)} {fault}, {FAULTS[fault]} ({examples(paths)})" for fault, paths in found.items())
        warn(
            f"{n} of {sum(not row.variant for row in rows)} clips hold sound that is hardly usable: {each}; see tree.table.note"
        )


def _warn_mixed_rates(renderer: Renderer, rows: list[Row]) -> None:
    rates = Counter(r.sr for r in rows if r.status in HAS_PICTURE)
    if renderer.audio.sr is None and len(rates) > 1:
        counts = ", ".join(f"{n} at {sr} Hz" for sr, n in rates.most_common())
        warn(
            f"the recordings have {len(rates)} sampling rates ({counts}), so equal rows of their pictures are different frequencies; "
            f"Audio(sr={rates.most_common(1)[0][0]}) would bring them together"
        )


def _libraries_of(renderer: Renderer, variants: dict[str, Variant], jobs: list[Job]) -> frozenset[str]:
    """The libraries that affect the pixels of these pictures."""
    used = {job.variant for job in jobs} - {""}
    decoders = {decoder_of_name(job.path) for job in jobs}
    return renderer.libraries.union(decoders, *(variants[name].libraries for name in used))


def _versions_to_draw(folder: Path, recorded: Recorded, libraries: frozenset[str], draw: bool) -> Recorded:
    """What the tree records once the installed versions have drawn into it. ValueError if they would mix pictures of different numbers.

    Minor differences are reported when something is drawn, after which they are recorded; those of major versions always.
    """
    installed = installed_versions(libraries)
    changes = compare_versions(recorded, installed)
    if draw and changes["refuse"]:
        raise ValueError(
            f"the tree {str(folder)!r} was drawn with {changes['refuse']}: another major version may draw other pixels; install "
            f"the version that drew it, or draw everything again: delete that folder, or choose another cache="
        )
    if draw or changes["refuse"]:
        warn_of_versions(folder, changes)
    return recorded | {name: list(dict.fromkeys([*recorded.get(name, ()), now])) for name, now in installed.items()}


def _write_renderer(folder: Path, renderer: Renderer, root: str, name: str | None, versions: Recorded) -> None:
    facts = {"format": FORMAT, "source": root, "name": name, "renderer": renderer.to_dict(), "versions": versions}
    write_atomic(folder / "renderer.json", json.dumps(facts, indent=1).encode())


def _draw_into(
    folder: Path,
    renderer: Renderer,
    root: str,
    variants: dict[str, Variant],
    jobs: list[Job],
    n_jobs: int,
    progress: bool,
    libraries: frozenset[str],
) -> None:
    """Draw jobs and keep the manifest up to date as they are done."""
    draw = functools.partial(_draw_chunk, renderer, root, str(folder / "images"), variants)
    finished = 0
    try:
        kept = "what is drawn is kept, and the same call draws the rest"
        with (
            explained(folder, kept, "n_jobs="),
            Manifest(folder) as manifest,
            progress_bar(len(jobs), folder.name, progress) as bar,
        ):
            for rows in map_chunks(draw, jobs, n_jobs, libraries=libraries, in_order=False):
                manifest.put(_seen(folder, root, rows))
                finished += len(rows)
                bar.update(len(rows))
            manifest.export()
    except KeyboardInterrupt:
        print(
            f"stopped: {finished} of {len(jobs)} pictures are drawn and kept; call again to draw the rest",
            file=sys.stderr,
        )
        raise
    except WorkerError as exc:
        raise WorkerError(
            f"{exc}; {finished} of {len(jobs)} pictures are drawn and kept: call again to draw the rest"
        ) from exc
    except OSError as exc:
        raise _disk_error(folder, exc) from exc


def _cache_folder(cache: str | os.PathLike | None) -> Path:
    """The folder that holds trees. ValueError for an address: a tree is one database and many small pictures, read again in every epoch."""
    cache = default_cache() if cache is None else cache
    refuse_address(
        cache,
        "a cache",
        "it holds a database and a small file for each clip, which every epoch reads. Draw into a folder, and copy the whole tree "
        "(push_to_hub, aws s3 sync, gsutil rsync, rclone), or mount the bucket",
    )
    return Path(cache).absolute()


def _list_rows(folder: Path) -> None:
    """Write manifest.csv where a killed process left none; not on a disk that is read-only, where the database says it all."""
    if not (folder / "manifest.csv").exists() and os.access(folder, os.W_OK):
        with contextlib.suppress(OSError), Manifest(folder) as manifest:
            manifest.export()


def _stored(folder: Path, jobs: list[Job]) -> tuple[list[Row], list[Job]]:
    """The rows of jobs that are done, and those of the jobs whose picture is nevertheless not in the tree. OSError if it was deleted."""
    known = {row.picture: row for row in read_rows(folder)}
    if not all(job.picture in known for job in jobs):
        raise FileNotFoundError(
            errno.ENOENT,
            f"the tree {str(folder)!r}, or rows of it, were deleted while it was being drawn; call again to draw them anew",
        )
    there = {name for name, _ in _files_of(folder)}
    lost = [job for job in jobs if known[job.picture].status in HAS_PICTURE and job.picture not in there]
    return [known[job.picture] for job in jobs], lost


def _give_up(folder: Path, rows: list[Row], lost: list[Job]) -> None:
    """Note that pictures which were drawn twice are not in the tree, and raise a WorkerError."""
    names = {job.picture for job in lost}
    with Manifest(folder) as manifest:
        manifest.put(
            row._replace(status=UNREADABLE, reason="its picture was drawn and is not in the tree")
            for row in rows
            if row.picture in names
        )
        manifest.export()
    raise WorkerError(
        f"{len(lost)} of {len(rows)} pictures were drawn twice and are not in {str(folder / 'images')!r} "
        f"({examples(sorted(names))}): workers wrote them elsewhere, or somebody deletes them. Workers on other machines or in "
        f"containers need the cache at the same path; the rest is kept, and another call draws what is missing"
    )


@names_arguments
def render_tree(
    source: str | os.PathLike | Iterable,
    renderer: Renderer = Renderer(),
    cache: str | os.PathLike | None = None,
    *,
    root: str | os.PathLike | None = None,
    name: str | None = None,
    segments: pd.DataFrame | Iterable[dict] | None = None,
    variants: Iterable[Variant] = (),
    n_jobs: int = -1,
    progress: bool = True,
) -> SpecTree:
    """Draw every recording of a folder, or of a list, into the cached tree; only what is new or changed is drawn.

    Parameters
    ----------
    source : str, os.PathLike or iterable
        A folder, searched in depth, or a list of files below `root`. Or the address of a folder in a store (s3://bucket/night, gs://, hf://
        and others of `specimg.core.addresses.STORES`), or a list of addresses, read through fsspec.
    renderer : Renderer, default Renderer()
        How recordings are drawn.
    cache : str or os.PathLike, optional
        Folder that holds trees, on a disk that is here or mounted; default the user's cache folder, /kaggle/working where that exists.
    root : str or os.PathLike, optional
        Folder that the names of a list are below; default their common folder.
    name : str, optional
        Identifies the source instead of its folder, so that a tree can travel to another machine.
    segments : DataFrame or list of dict, optional
        `path`, `start` and `end` (s): one picture a row instead of one a file.
    variants : iterable of Variant, optional
        `AddNoise(20)`, `Roll(0.1)`, `TimeStretch(0.8)`, `PitchShift(-5)` ...: each gives one more picture of every clip, for training.
    n_jobs : int, default -1
        Processes of joblib's active backend; -1 is one a core.
    progress : bool, default True
        Show a progress bar.

    Returns
    -------
    SpecTree
        Its `table` has one row for each picture asked for; its `failures` say which have none, and why.

    Raises
    ------
    ValueError
        No such folder, an empty list, a path that leads out of `root`, no variant, an address as cache; or a tree that was drawn with another major version
        of librosa, noisereduce or pyloudnorm, where that library affects the pictures that are to be drawn.
    OSError
        The disk is full, the cache cannot be written to, another process holds the tree, it was deleted, a worker was killed, or a store
        is not there, may not be listed or is out of reach; what is drawn is kept.
    RuntimeError
        Workers cannot read what this process can, or their pictures do not arrive in the tree.

    Notes
    -----
    A tree records the versions of the libraries that drew it. Where something is to be drawn with others, a warning names both
    versions of each, once: afterwards they are recorded too. Between the major versions named above numbers do change, and such
    pictures are not mixed.

    Examples
    --------
    >>> renderer = sp.Renderer(sp.Mel(n_mels=32), audio=sp.Audio(duration=0.5))
    >>> tree = sp.render_tree("clips", renderer, cache="cache", progress=False)
    >>> len(tree), len(tree.failures)
    (12, 0)
    >>> len(sp.render_tree("clips", renderer, cache="cache", variants=[sp.audio.AddNoise(20)], progress=False))
    24
    """
    if not isinstance(renderer, Renderer):
        raise ValueError(
            f"renderer={renderer!r} is not a Renderer; wrap a representation: Renderer(Mel(...)), and name the folder cache="
        )
    variants = variants_by_name(variants)
    cache = _cache_folder(cache)
    root, source = resolve_source(source, root)
    if segments is not None:
        jobs = jobs_of_segments(segments, root)
    else:
        jobs = jobs_of_files(source, root)
    if not jobs:
        raise ValueError(
            f"{root!r} holds no recordings; they end in .wav, .flac, .ogg, .mp3 ... (specimg.audio.AUDIO_SUFFIXES)"
        )
    jobs = variant_jobs(jobs, variants)
    folder = cache / _tree_name(renderer, root, name)

    known = {row.picture: row for row in read_rows(folder)}
    there = {name for name, _ in _files_of(folder)}
    to_draw = [
        job
        for job in jobs
        if render_action(known.get(job.picture), (job.size, job.mtime), job.picture in there) != "keep"
    ]
    recorded = read_versions(folder)
    libraries = _libraries_of(renderer, variants, to_draw or jobs)
    versions = _versions_to_draw(folder, recorded, libraries, bool(to_draw))
    if not to_draw:
        rows = [known[job.picture] for job in jobs]
        _list_rows(folder)
    for _ in range(2):  # a picture that was drawn and then deleted is drawn once more
        if not to_draw:
            break
        try:
            (folder / "images").mkdir(parents=True, exist_ok=True)
            if versions != read_versions(folder):
                _write_renderer(folder, renderer, root, name, versions)
        except OSError as exc:
            raise _disk_error(folder, exc) from exc
        _draw_into(folder, renderer, root, variants, to_draw, n_jobs, progress, libraries)
        rows, to_draw = _stored(folder, jobs)
    if to_draw:
        _give_up(folder, rows, to_draw)
    _warn_failures(rows)
    _warn_partial(rows)
    _warn_faults(rows)
    _warn_mixed_rates(renderer, rows)
    return SpecTree(folder, renderer, Path(root), rows)
