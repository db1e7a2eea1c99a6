"""A page to try classifiers on: record, or drop files, and see what they answer. It is a Gradio app, and needs `pip install specimg[serve]`.

    serve("dog-or-not/")                          # opens http://127.0.0.1:7860; in a notebook below the cell
    serve([clf, "other/"], port=8000)             # several side by side
    make_app("dog-or-not/").launch()              # a gradio.Blocks, for whoever adds to it

Nothing is shared between two visitors but the networks, which answer one after the other. The page asks no other machine, by a
content security policy; its file route serves what was uploaded, the examples and the pictures of answers, which are removed after an hour.
"""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..core.offscreen import offscreen
from ..core.text import printable_cells
from ..inference import Classifier, load_classifier
from ..inference.events.strips import clock
from ..inference.golden import golden_recordings
from .answers import Answer, answer, as_image

if TYPE_CHECKING:
    import gradio

MEGABYTES, SECONDS = 50, 600  # most that is taken of an upload
MOST_FILES = 100  # at once
KEPT = 3600  # s that uploads and pictures are kept
POLICY = b"default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'"
_FILES = "file="  # Gradio's route for files


def import_gradio() -> Any:
    """The package. ModuleNotFoundError, with the way to it, where it is absent."""
    try:
        import gradio
    except ModuleNotFoundError as exc:
        raise ModuleNotFoundError("the page needs the package gradio: pip install specimg[serve]") from exc
    return gradio


def named_classifiers(classifiers: Any) -> dict[str, Classifier]:
    """Name -> classifier, of one or several classifiers or their folders; names are those of the folders, where none are given."""
    if isinstance(classifiers, Mapping):
        given, names = list(classifiers.values()), [str(name) for name in classifiers]
    else:
        given, names = list(classifiers) if isinstance(classifiers, (list, tuple)) else [classifiers], []
    if not given:
        raise ValueError("there is no classifier to try; give one or several, or their folders")
    loaded = [one if isinstance(one, Classifier) else load_classifier(one) for one in given]
    if not names:
        folders = [one.about.get("folder", "classifier") if isinstance(one, Classifier) else one for one in given]
        names = [os.path.basename(os.path.normpath(folder)) for folder in folders]
    return {
        name if names.count(name) == 1 else f"{i}. {name}": one for i, (name, one) in enumerate(zip(names, loaded), 1)
    }


class LocalOnly:
    """ASGI middleware: the browser may ask this server only, and the file route fetches no address of another one for it."""

    def __init__(self, app: Any):
        self.app = app

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        async def with_policy(message: dict) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), (b"content-security-policy", POLICY)]
            await send(message)

        if scope["type"] == "http" and "://" in scope["path"].rpartition(_FILES)[2]:
            from starlette.responses import PlainTextResponse

            await PlainTextResponse("only files of this server", 403)(scope, receive, with_policy)
        else:
            await self.app(scope, receive, with_policy if scope["type"] == "http" else send)


# ---------------------------------------------------------------------- what a visitor sees


def _csv_link(table: pd.DataFrame, name: str) -> str:
    """A link that holds a table, so that no file has to be kept for it."""
    text = printable_cells(table, quote_formulas=True).to_csv(index=False).encode("utf-8", "surrogateescape")
    return f'<a download="{name}" href="data:text/csv;base64,{base64.b64encode(text).decode()}">Download as {name}</a>'


def _shown_events(events: pd.DataFrame) -> pd.DataFrame:
    """The table of events for people."""
    times = {name: events[name].map(clock) for name in ("start", "end")}
    return pd.DataFrame({**times, "label": events["label"], "probability": events["probability"].round(3)})


def _panel(gr: Any, name: str) -> list:
    """The components that `_fill` fills: what one classifier answers."""
    picture = {"format": "png", "buttons": ["fullscreen"], "show_label": False, "visible": False}
    with gr.Column(min_width=320):
        return [
            gr.Textbox(label=name, lines=1, max_lines=4, placeholder="what it hears", elem_classes="answer"),
            gr.Image(label="Spectrogram", **picture),
            gr.Label(label="Probabilities", num_top_classes=8, show_heading=False, visible=False),
            gr.Image(label="Window by window", **picture),
            gr.Dataframe(label="Events", interactive=False, visible=False, max_height=300),
            gr.HTML(visible=False),
        ]


def _fill(gr: Any, told: Answer | None) -> list:
    """What the components of a panel show; None is nothing yet."""
    told = told or Answer("")

    def shown(kind: Any, value: Any) -> Any:
        return kind(value=value, visible=value is not None)

    long = told.events is not None
    return [
        told.words,
        shown(gr.Image, told.picture and as_image(told.picture)),
        shown(gr.Label, told.probabilities or None),
        shown(gr.Image, told.timeline and as_image(told.timeline)),
        shown(gr.Dataframe, _shown_events(told.events) if long else None),
        shown(gr.HTML, _csv_link(told.events, "events.csv") if long else None),
    ]


def make_app(
    classifiers: Classifier | str | os.PathLike | Sequence | Mapping,
    *,
    reject_below: float = 0.0,
    most_seconds: float = SECONDS,
) -> gradio.Blocks:
    """The page to try classifiers on, as a Gradio app that is not yet launched; `serve` launches it with files and requests fenced in.

    Parameters
    ----------
    classifiers : Classifier, path, sequence of them, or mapping of names to them
        Classifiers or their folders, also on the Hub; several answer side by side.
    reject_below : float, default 0.0
        Where the slider stands: a clip is labelled "unknown" where the largest probability is lower.
    most_seconds : float, default 600
        Longer recordings are refused, in words.

    Returns
    -------
    gradio.Blocks
        The app.

    Raises
    ------
    ModuleNotFoundError
        Without gradio: `pip install specimg[serve]`.
    ValueError
        If a folder is no classifier.

    Examples
    --------
    >>> from specimg.reports import make_app
    >>> app = make_app(clf, reject_below=0.6)
    >>> app.title
    'classifier'
    """
    gr, named = import_gradio(), named_classifiers(classifiers)
    golden = {
        Path(one.path).read_bytes(): one for clf in named.values() for one in golden_recordings(clf.about.get("folder"))
    }

    def told(path: str | None, unsure: float) -> list:
        with offscreen():
            answers = [answer(clf, path, unsure, most_seconds) if path else None for clf in named.values()]
            return [part for one in answers for part in _fill(gr, one)]

    def many(paths: list[str] | None, unsure: float) -> list:
        if len(paths or []) > MOST_FILES:
            raise gr.Error(f"{len(paths)} files; at most {MOST_FILES} are taken at once")
        rows = []
        with offscreen():
            for path in paths or []:
                for name, clf in named.items():
                    one = answer(clf, path, unsure, most_seconds)
                    best = max(one.probabilities.values(), default=None)
                    rows.append(
                        {"file": os.path.basename(path), "classifier": name, "probability": best, "answer": one.words}
                    )
        table = pd.DataFrame(rows).round(3)
        return [
            gr.Dataframe(value=table, visible=bool(rows)),
            gr.HTML(_csv_link(table, "answers.csv"), visible=bool(rows)),
        ]

    alone = {
        "concurrency_id": "networks",
        "concurrency_limit": 1,
        "trigger_mode": "always_last",
    }  # maps are taken by hooks
    with gr.Blocks(title=", ".join(named), analytics_enabled=False, fill_width=True, delete_cache=(KEPT, KEPT)) as app:
        with gr.Tab("One recording"), gr.Row():
            with gr.Column(min_width=320):
                sound = gr.Audio(
                    sources=["upload", "microphone"],
                    type="filepath",
                    label="Record, or drop a file",
                    buttons=["download"],
                )
                unsure = gr.Slider(
                    0, 1, reject_below, step=0.05, label="“unknown” where the largest probability is below"
                )
                if golden:
                    paths, names = [one.path for one in golden.values()], [one.label for one in golden.values()]
                    gr.Examples(paths, sound, example_labels=names, label="Examples", cache_examples=False)
            with gr.Column(scale=2), gr.Row():
                panels = [part for name in named for part in _panel(gr, name)]
            gr.on([sound.change, unsure.release], told, [sound, unsure], panels, api_name="predict", **alone)
        with gr.Tab("Several files"):
            files = gr.File(file_count="multiple", type="filepath", label="Drop files")
            table = gr.Dataframe(label="Answers", interactive=False, visible=False, wrap=True)
            link = gr.HTML(visible=False)
            files.change(many, [files, unsure], [table, link], api_name="predict_files", **alone)
    return app.queue(max_size=64)


def serve(
    classifiers: Classifier | str | os.PathLike | Sequence | Mapping,
    *,
    host: str | None = None,
    port: int | None = None,
    browser: bool = False,
    reject_below: float = 0.0,
    most_mb: float = MEGABYTES,
    most_seconds: float = SECONDS,
    block: bool | None = None,
) -> gradio.Blocks:
    """Open a page to try classifiers on: from the microphone, or from files, with spectrogram, class map, probabilities and events.

    In a notebook the page stands below the cell. In a script, the call lasts until Ctrl-C.

    Parameters
    ----------
    classifiers : Classifier, path, sequence of them, or mapping of names to them
        Classifiers or their folders, also on the Hub; several answer side by side.
    host : str, optional
        Address to listen on; default that of the environment variable GRADIO_SERVER_NAME, else "127.0.0.1", this machine only.
    port : int, optional
        Default GRADIO_SERVER_PORT, else the first free one from 7860.
    browser : bool, default False
        Open a browser.
    reject_below : float, default 0.0
        A clip is labelled "unknown" where the largest probability is lower; a slider on the page changes it.
    most_mb : float, default 50
        Megabytes of the largest file that may be uploaded.
    most_seconds : float, default 600
        Longer recordings are refused, in words.
    block : bool, optional
        Return only when the server ends; default in scripts, not in notebooks.

    Returns
    -------
    gradio.Blocks
        The running app; `close()` ends it.

    Raises
    ------
    ModuleNotFoundError
        Without gradio: `pip install specimg[serve]`.
    ValueError
        If a folder is no classifier, or a number is out of range.
    OSError
        If the port is taken.

    Examples
    --------
    >>> app = sp.serve(clf, block=False)  # doctest: +ELLIPSIS
    http://127.0.0.1:...
    >>> app.close(verbose=False)
    """
    for name, value, holds, rule in (
        ("reject_below", reject_below, 0 <= reject_below <= 1, "a probability, 0 to 1"),
        ("most_mb", most_mb, most_mb > 0, "more than 0 megabytes"),
        ("most_seconds", most_seconds, most_seconds > 0, "more than 0 seconds"),
    ):
        if not holds:
            raise ValueError(f"{name}={value!r}: give {rule}")
    gr = import_gradio()
    from starlette.middleware import Middleware

    app = make_app(classifiers, reject_below=reject_below, most_seconds=most_seconds)
    app.launch(
        server_name=host,
        server_port=port,
        inbrowser=browser,
        share=False,
        quiet=True,
        prevent_thread_lock=True,
        max_file_size=int(most_mb * 1e6),
        footer_links=["settings"],
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        app_kwargs={"middleware": [Middleware(LocalOnly)]},
        height=800,
        theme=gr.themes.Default(),
    )
    print(app.local_url, flush=True)
    if block or (block is None and not hasattr(sys, "ps1")):  # a prompt, also of a notebook
        app.block_thread()
    return app
