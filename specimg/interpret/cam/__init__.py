"""Grad-CAM: which part of a sound is evidence for a label, in seconds and hertz, to see and to hear.

    cam = clip_cam(learn, "dog.wav")                 # a learner, or a classifier; a recording, or its PNG in a tree
    cam.label, cam.probability, cam.values           # 'bark', 0.93, float32 (height, width) on the picture's own pixels
    cam.plot()                                       # the picture with the map in colour, over seconds and hertz
    cam.grid(16, 32)                                 # uint8 (16, 32), small enough for a page with thousands of them
    for cam in clip_cams(learn, pictures): ...       # many, batch by batch, in order; None for an unreadable file
    y, sr = cam_audio(learn, "dog.wav")              # the evidence as a sound; inverse=True is the rest

`map_layers` finds the layer to read, `gradcam` computes maps from tensors (`class_maps`), `of_clips` maps them back onto the
clip through the way its picture was fitted to the network, `audible` makes a sound of them.

Source: Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization", ICCV 2017.
"""

from .audible import cam_audio
from .gradcam import class_maps
from .of_clips import Cam, clip_cam, clip_cams

__all__ = ["Cam", "cam_audio", "class_maps", "clip_cam", "clip_cams"]
