"""The way from samples to the network's input in torch, so that it can be exported with the network.

`front` has the whole of it, `AudioFrontEnd`; `transform` frames and Fourier transforms, `features` the representations, `pixels`
levels and Pillow's resizing. It draws what `Renderer` and `FitSize` draw; pictures for trees and training come from those.
"""

from .features import feature_module, list_graph_representations
from .front import AudioFrontEnd, WaveFrontEnd, cannot_draw

__all__ = ["AudioFrontEnd", "WaveFrontEnd", "cannot_draw", "feature_module", "list_graph_representations"]
