"""Networks of our own, by name beside timm's: those of the systems that this package starts from.

    sp.list_nets()                                        # their names
    sp.create_net("mini_resnet")                          # as published
    sp.create_net("mini_resnet", n_classes=10, in_chans=3, size=(128, 128))

`base` says what a network is and how a new one joins; each module below registers its own.
"""

from . import (  # noqa: F401  (they register their networks)  # noqa: F401
    averaged,
    cldnn,
    digits_cnn,
    joint_autoencoder,
    mini_resnet,
    recurrent,
    resnet_lstm,
    separable,
    soundnet,  # noqa: F401
    speech_cnn,
    subspectral,
)
from .base import Net, NetFacts, create_net, list_nets, net_facts

__all__ = ["Net", "NetFacts", "create_net", "list_nets", "net_facts"]
