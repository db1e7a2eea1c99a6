"""From samples to the network's input in torch: what `Renderer` and `FitSize` draw, on the device, in a batch, and inside an exported file.

    front = AudioFrontEnd(Renderer(Mel(n_mels=64), audio=Audio(sr=16000)))
    front(samples)                          # float32 (batch, n) -> pictures, float32 (batch, 1, 64, frames), 0 to 1

`front` puts it together; `transform` frames and Fourier transforms, `representations` what is drawn, `pixels` levels and Pillow's
resizing. It stands here, below `inference`, because two rooms need it: loaders that draw live, and `inference.export`. Trees are drawn
without torch, by `Renderer` itself; the tests hold the two together, to one level of 255.
"""

from .front import AudioFrontEnd, WaveFrontEnd, cannot_draw
from .representations import feature_module, list_graph_representations

__all__ = ["AudioFrontEnd", "WaveFrontEnd", "cannot_draw", "feature_module", "list_graph_representations"]
