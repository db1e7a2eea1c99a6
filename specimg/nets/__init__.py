"""Networks of our own, by name beside timm's: those of the systems that this package starts from.

    sp.list_nets()                                        # their names
    sp.create_net("mini_resnet")                          # as published
    sp.create_net("mini_resnet", n_classes=10, in_chans=3, size=(128, 128))

`base` says what a network is and how a new one joins; each module below registers its own.
"""

from . import averaged, digits_cnn, mini_resnet, recurrent, speech_cnn  # noqa: F401  (they register their networks)
from . import cldnn, joint_autoencoder, resnet_lstm, separable, subspectral  # noqa: F401
from . import soundnet  # noqa: F401
from .base import Net, NetFacts, create_net, list_nets, net_facts

__all__ = ["Net", "NetFacts", "create_net", "list_nets", "net_facts"]
