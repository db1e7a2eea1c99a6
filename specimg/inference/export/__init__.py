"""A classifier as one file for other programs: `onnx` writes it, `specimg.data.graph` has the modules that draw in it, `quantise` makes it 8-bit."""

from ...data.graph import AudioFrontEnd, WaveFrontEnd, cannot_draw, feature_module, list_graph_representations
from .quantise import quantise_onnx

__all__ = [
    "AudioFrontEnd",
    "WaveFrontEnd",
    "cannot_draw",
    "feature_module",
    "list_graph_representations",
    "quantise_onnx",
]
