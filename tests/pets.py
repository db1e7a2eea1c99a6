"""A small competition of dogs and cats."""

import os
import warnings

import pandas as pd

MARKS = [("train.csv", "audio_train"), ("meta.csv",)]


def touch(*paths):
    """Empty files; a path that ends in / is a folder."""
    for path in map(str, paths):
        os.makedirs(path if path.endswith("/") else os.path.dirname(path), exist_ok=True)
        if not path.endswith("/"):
            open(path, "w").close()


def place(folder):
    """A folder with MARKS in it."""
    touch(f"{folder}/train.csv", f"{folder}/audio_train/")
    return folder


def small(**columns):
    """Four clips of two labels."""
    return pd.DataFrame({"path": ["a.wav", "b.wav", "c.wav", "d.wav"], "label": ["dog", "cat", "dog", "cat"]} | columns)


TEST = pd.DataFrame({"id": ["1", "2"], "path": ["t/1.wav", "t/2.wav"]})


CSV = "fname,label,who,sure\na.wav,dog,x,1\nsub/b.wav,cat,y,0\n007.wav,dog,x,1\n"


def quietly(function, *args, **kwargs):
    """The result, where no warning may be said."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return function(*args, **kwargs)
