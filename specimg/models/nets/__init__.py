"""Our own networks, by name beside timm's: those of published systems for sound, one file each.

    sp.list_nets()                                        # their names
    sp.create_net("mini_resnet")                          # as published
    sp.create_net("mini_resnet", n_classes=10, in_chans=3, size=(128, 128))

`base` defines what a network is and how a new one is registered; each module below registers its own.
"""

from . import (  # noqa: F401  (they register their networks)
    averaged,
    cldnn,
    digits_cnn,
    joint_autoencoder,
    mini_resnet,
    recurrent,
    resnet_lstm,
    separable,
    soundnet,
    speech_cnn,
    subspectral,
)
from .base import Net, NetFacts, create_net, list_nets, net, net_facts

__all__ = ["Net", "NetFacts", "create_net", "list_nets", "net", "net_facts"]
