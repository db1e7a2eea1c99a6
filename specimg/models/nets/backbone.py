"""timm's networks as feature extractors, for the networks of this folder and for those with fastai's head."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import timm
from timm.models import split_model_name_tag
from torch import Tensor, nn

REFUSALS = (RuntimeError, AssertionError, ValueError, IndexError)  # what networks raise at a size they cannot take


class ChannelsFirst(nn.Module):
    """(batch, height, width, features), as some transformers output it, to (batch, features, height, width)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 3, 1, 2)


def check_timm_name(name: str, what: str, others: Sequence[str] = ()) -> None:
    """ValueError, with similar names of timm's and of `others`, unless timm has a network of this name, without its tag."""
    bare = split_model_name_tag(name)[0]
    if timm.is_model(bare):
        return
    known = [*others, *timm.list_models()]
    near = difflib.get_close_matches(bare, known, n=5) + [found for found in known if bare and bare in found]
    hint = f"did you mean {' or '.join(map(repr, dict.fromkeys(near[:5])))}? " if near else ""
    lists = "list_nets() names ours, timm.list_models() timm's" if others else "timm.list_models() names all"
    raise ValueError(f"unknown {what} {name!r}; {hint}{lists}")


def create_timm_network(name: str, in_chans: int, size: tuple[int, int] | None = None, **options: object) -> nn.Module:
    """timm's network without its classifier and with random weights, created for pictures of `size` if its size is fixed."""
    if size is not None and getattr(timm.get_pretrained_cfg(name), "fixed_input_size", False):
        options["img_size"] = size
    return timm.create_model(name, num_classes=0, in_chans=in_chans, **options)
