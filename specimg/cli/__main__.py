"""`python -m specimg.cli` is `specimg`."""

import sys

from . import main

sys.exit(main())
