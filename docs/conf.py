"""How the site is built: `make docs`, warnings are errors.

The pages of the reference are written here, one for each name that the package and its rooms have in `__all__`, so that none can be
forgotten; the tutorials are the notebooks of nbs/ as they were executed, nothing is run. Both are made again at each build.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
import re
import shutil
import sys
import textwrap
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import specimg  # noqa: E402

project = "specimg"
author = "The specimg authors"
copyright = "the specimg authors, Apache-2.0"
version = release = specimg.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_nb",
    "sphinx_design",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "reference/generated/top.md"]
default_role = "py:obj"
templates_path = ["_templates"]
suppress_warnings = [
    "mystnb.unknown_mime_type",
    "ref.python",
]  # `metric` in a docstring may be one of several: it is then no link

# ---------------------------------------------------------------------- appearance

html_theme = "pydata_sphinx_theme"
html_title = "specimg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = html_logo = "_static/logo.svg"
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "specimg"},
    "show_toc_level": 2,
    "show_nav_level": 1,
    "navigation_depth": 3,
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "navbar_persistent": ["search-button"],
    "header_links_before_dropdown": 7,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "back_to_top_button": False,
}
html_sidebars = {"index": []}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# ---------------------------------------------------------------------- docstrings

autodoc_typehints = "none"  # types are in the numpydoc sections
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
numpydoc_xref_param_type = False
autosummary_generate = False

# ---------------------------------------------------------------------- notebooks and Markdown

nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist", "attrs_inline"]
myst_heading_anchors = 3

# ---------------------------------------------------------------------- pages that are written here

ROOMS = (  # in the order in which data flows
    "audio", "spectrogram", "render", "labels", "data", "models", "training", "metrics", "inference", "inference.events",
    "interpret", "reports", "experiments", "competitions", "datasets", "models.nets", "core",
)  # fmt: skip
SECTION = re.compile(r"^\s*(Parameters|Attributes|Returns|Yields|Raises|Warns|Examples|See Also|Notes|References)\s*$")


def first_sentence(text: str | None) -> str:
    """The summary line of a docstring."""
    return (text or "").strip().split("\n\n")[0].replace("\n", " ")


def literal_blocks(lines: list[str]) -> list[str]:
    """Indented examples of the running text become literal blocks; sections that numpydoc reads stay as they are."""
    out: list[str] = []
    inside = False
    for number, line in enumerate(lines):
        if SECTION.match(line) and number + 1 < len(lines) and set(lines[number + 1].strip()) == {"-"}:
            return out + lines[number:]
        indented = line.startswith("    ")
        if indented and not inside and (not out or not out[-1].strip()):
            if not any(done.rstrip().endswith("::") for done in out[-2:]):
                out += ["::", ""]
            inside = True
        elif line.strip() and not indented:
            inside = False
        out.append(line)
    return out


def names_of(room: str) -> list[str]:
    """Public functions, classes and constants of a room, without its submodules."""
    module = importlib.import_module(f"specimg.{room}")
    return [name for name in getattr(module, "__all__", []) if not inspect.ismodule(getattr(module, name))]


def own_members(cls: type) -> tuple[list[str], list[str]]:
    """(methods, properties) of a class that this package defines; those of fastai, torch and Python stay with their own sites."""
    methods, properties = {}, {}
    for base in cls.__mro__:
        if not base.__module__.startswith("specimg") or base.__name__ == "Value":
            continue
        for name, member in vars(base).items():
            if name.startswith("_") or methods.get(name) or properties.get(name):
                continue
            plain = member.__func__ if isinstance(member, (classmethod, staticmethod)) else member
            if inspect.isfunction(plain):
                methods[name] = first_sentence(plain.__doc__)
            elif isinstance(plain, property) or type(plain).__name__ == "cached_property":
                properties[name] = first_sentence(plain.__doc__)
    return sorted(n for n in methods if methods[n]), sorted(n for n in properties if properties[n])


def page_of(room: str, name: str) -> str:
    """The reStructuredText of one public name."""
    thing = getattr(importlib.import_module(f"specimg.{room}"), name)
    full, title = f"specimg.{room}.{name}", name
    top = (
        f"At the top: ``sp.{name}``."
        if name in specimg.__all__
        else f"In its room: ``from specimg.{room} import {name}``."
    )
    lines = [title, "=" * len(title), "", top, "", f".. currentmodule:: specimg.{room}", ""]
    if inspect.isclass(thing):
        methods, properties = own_members(thing)
        lines += [f".. autoclass:: {full}", "   :no-members:", ""]
        for heading, kind, members in ("Attributes", "property", properties), ("Methods", "method", methods):
            if members:
                lines += [heading, "-" * len(heading), "", ".. autosummary::", "   :nosignatures:", ""]
                lines += [f"   ~{name}.{member}" for member in members]
                lines += [""]
                for member in members:
                    lines += [f".. auto{kind}:: {full}.{member}", ""]
    elif inspect.isroutine(thing) or callable(thing):
        lines += [f".. autofunction:: {full}", ""]
    else:
        shown = textwrap.shorten(repr(thing), 400)
        lines += [f".. py:data:: {full}", f"   :value: {shown}", ""]
    return "\n".join(lines)


def room_page(room: str, names: list[str]) -> str:
    """The page of a room: what its docstring teaches, and a table of its names."""
    module = importlib.import_module(f"specimg.{room}")
    title = f"specimg.{room}"
    taught = "\n".join(literal_blocks(inspect.cleandoc(module.__doc__ or "").splitlines()))
    things = {name: getattr(module, name) for name in names}
    kinds = {
        "Classes": [name for name in names if inspect.isclass(things[name])],
        "Functions": [name for name in names if inspect.isroutine(things[name])],
        "Constants": [
            name for name in names if not inspect.isclass(things[name]) and not inspect.isroutine(things[name])
        ],
    }
    lines = [title, "=" * len(title), "", f".. py:module:: {title}", "", f".. currentmodule:: {title}", "", taught, ""]
    for heading, members in kinds.items():
        if members and heading == "Constants":
            lines += [heading, "-" * len(heading), "", *(f"- `{name}`" for name in members), ""]
        elif members:
            lines += [heading, "-" * len(heading), "", ".. autosummary::", "   :nosignatures:", ""]
            lines += [f"   {name}" for name in sorted(members, key=str.lower)] + [""]
    lines += [".. toctree::", "   :hidden:", "", *(f"   {title}.{name}" for name in sorted(names, key=str.lower))]
    return "\n".join(lines) + "\n"


def write(path: Path, text: str) -> None:
    """Only what has changed, so that a second build is quick."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def top_table(pages: dict[str, tuple[str, object]]) -> str:
    """Names at the top, by room, each with its first sentence."""
    lines = []
    for room in ROOMS:
        names = [name for name, (of, _) in pages.items() if of == room and name in specimg.__all__]
        if names:
            lines += ["", f"**{room}**", "", "| | |", "|---|---|"]
            for name in sorted(names, key=str.lower):
                said = first_sentence(pages[name][1].__doc__).replace("|", "\\|").replace("`", "")
                lines.append(f"| [`sp.{name}`](generated/specimg.{room}.{name}.rst) | {said} |")
    return "\n".join(lines) + "\n"


def write_reference(folder: Path) -> None:
    """reference/generated: a page a room and a page a name; what stands in two rooms has its page in the first."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted, seen, pages = set(), set(), {}
    for room in ROOMS:
        names = []
        module = importlib.import_module(f"specimg.{room}")
        for name in names_of(room):
            thing = getattr(module, name)
            described = inspect.isclass(thing) or inspect.isroutine(thing)
            if described and id(thing) in seen:
                continue
            seen |= {id(thing)} if described else set()
            names.append(name)
            pages.setdefault(name, (room, thing))
            write(folder / f"specimg.{room}.{name}.rst", page_of(room, name))
            wanted.add(f"specimg.{room}.{name}.rst")
        if names or module.__doc__:
            write(folder / f"specimg.{room}.rst", room_page(room, names))
            wanted.add(f"specimg.{room}.rst")
    write(folder / "top.md", top_table(pages))
    for page in folder.glob("*.rst"):
        if page.name not in wanted:
            page.unlink()


def command_pages() -> str:
    """What `specimg COMMAND --help` prints, for every command."""
    os.environ["COLUMNS"] = "100"
    parser = importlib.import_module("specimg.cli")._parser()
    [commands] = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    lines = [
        "# Command line",
        "",
        "The same functions from the command line; each command has `--help` with an example.",
        "",
    ]
    for name, command in commands.choices.items():
        lines += [f"## specimg {name}", "", "```text", command.format_help().rstrip(), "```", ""]
    return "\n".join(lines)


def copy_notebooks(folder: Path) -> None:
    """tutorials/*.ipynb: those of nbs/, as they stand there."""
    for notebook in sorted((ROOT / "nbs").glob("*.ipynb")):
        shutil.copyfile(notebook, folder / notebook.name)


def on_docstring(app, what, name, obj, options, lines) -> None:
    """Before numpydoc reads a docstring; `|x|` is a magnitude, and no substitution of reStructuredText."""
    lines[:] = [re.sub(r"(?<![\\`|])\|(\w+)\|", r"\|\1\|", line) for line in literal_blocks(lines)]


def setup(app) -> None:
    """Called by Sphinx before it looks for pages."""
    write_reference(HERE / "reference" / "generated")
    write(HERE / "reference" / "generated" / "command-line.md", command_pages())
    copy_notebooks(HERE / "tutorials")
    app.connect("autodoc-process-docstring", on_docstring, priority=100)
