"""specimg turns recorded sound into pictures, and pictures into trained classifiers, with fastai.

The public names are listed in `__init__.pyi` beside this file and are imported when first used, as are the rooms (`sp.metrics`,
`sp.audio`, `sp.nets` ...): `import specimg` itself loads neither torch nor pandas.
"""

import lazy_loader as _lazy

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
