"""specimg turns recorded sound into pictures, and pictures into trained classifiers, with fastai.

The public names are listed in `__init__.pyi` beside this file and are imported when first used, as are the rooms (`sp.metrics`,
`sp.audio`, `sp.nets` ...): `import specimg` itself loads neither torch nor pandas.
"""

from importlib import import_module as _import_module

import lazy_loader as _lazy

from .core.wiring import provide as _provide

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)

# a training that is tracked ends with the pictures and the page that rooms above it make
_provide("training_pages", lambda: _import_module("specimg.reports.tracked").training_pages)
