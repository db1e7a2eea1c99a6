"""From samples to the network's input in torch, so that it can be exported with the network.

`front` puts it together; `transform` frames and Fourier transforms, `representations` what is drawn, `pixels`
levels and Pillow's resizing. It draws what `Renderer` and `FitSize` draw; pictures for trees and training come from those.
"""

from .front import AudioFrontEnd, WaveFrontEnd, cannot_draw
from .representations import feature_module, list_graph_representations

__all__ = ["AudioFrontEnd", "WaveFrontEnd", "cannot_draw", "feature_module", "list_graph_representations"]
