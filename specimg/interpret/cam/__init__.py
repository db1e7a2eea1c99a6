"""Grad-CAM: which part of a sound speaks for a label, on real seconds and hertz, to look at and to listen to.

    cam = clip_cam(learn, "dog.wav")                 # or the PNG of a tree; a learner, or a classifier from a folder
    cam.label, cam.probability, cam.values           # 'bark', 0.93, float32 (height, width) on the picture's own pixels
    cam.plot()                                       # the picture with what was looked at in colour; seconds and hertz on the axes
    cam.grid(16, 32)                                 # uint8 (16, 32): small enough for a page with thousands of them
    for cam in clip_cams(learn, pictures): ...       # many, batch by batch, in order; None for a file that cannot be read
    y, sr = cam_audio(learn, "dog.wav")              # what was looked at, as a sound; inverse=True is the rest

`layers` finds the layer whose maps are read, `maps` weighs them (`class_maps`, on tensors), `clips` brings them back to the
clip through the way its picture was fitted to the network, `sound` makes them audible.

Source of the method: Selvaraju et al., Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization (ICCV 2017).
"""

from .clips import Cam, clip_cam, clip_cams
from .gradcam import class_maps
from .sound import cam_audio

__all__ = ["Cam", "cam_audio", "class_maps", "clip_cam", "clip_cams"]
