"""Networks by name: timm's, with pretrained weights from wherever they are, and those of published systems.

`networks` makes one for a number of channels and classes, `weights` finds and checks pretrained weights, `nets` holds networks of the
literature, one file each.
"""

from .nets import create_net, list_nets

__all__ = ["create_net", "list_nets"]
