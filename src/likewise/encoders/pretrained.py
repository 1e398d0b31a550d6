"""Known weights for an encoder: from timm, or from a file of this or another program. Nothing in a file is run.

A file names its tensors as the program did that wrote it: behind a prefix such as `module.encoder_q.` (MoCo),
`teacher.backbone.` (DINO) or `backbone.` (lightly, solo-learn), or by the places of layers in a row. The names are
matched to the encoder's own; every tensor of the encoder must be found, and what is left over is told.
"""

from __future__ import annotations

import argparse
import importlib
import pickle
import socket
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from likewise.encoders.base import encoder_name
from likewise.errors import UserError, nearest

TIMM = "timm:"
SAFE = ".safetensors"
PICKLED = (".pt", ".pth", ".ckpt", ".bin", ".tar")
SUFFIXES = (SAFE, *PICKLED)
COUNTERS = "num_batches_tracked"  # of BatchNorm, absent in old files, and unused with a fixed momentum
COPIES = ("teacher", "student", "encoder_q", "base_encoder", "online", "backbone", "encoder")
"""Parts of prefixes, the preferred one first, where a file holds several networks of this architecture: the teacher is
what DINO's authors evaluate, and MoCo's query encoder."""
SECONDARY = ("momentum", "encoder_k", "target", "ema")

State = Mapping[str, Tensor]


class LoadedWeights(NamedTuple):
    """What of a file came into an encoder."""

    matched: int
    """Tensors of the encoder that were found."""
    unused: tuple[str, ...]
    """Names in the file for which the encoder has no place: heads, optimizers, other networks."""
    how: str
    """By what they were matched, as people read it."""

    def __str__(self) -> str:
        left = ""
        if self.unused:
            shown = ", ".join(self.unused[:3]) + (" …" if len(self.unused) > 3 else "")
            left = f"; {len(self.unused)} not used: {shown}"
        return f"{self.matched} tensors by {self.how}{left}"


def load_pretrained(encoder: nn.Module, source: str | Path | State, *, name: str = "") -> LoadedWeights:
    """Load known weights into an encoder.

    Args:
        encoder: of the same architecture as the weights. Those of three channels serve an image encoder of one, and
            a Vision Transformer's position embeddings are resampled to its size.
        source: `timm:NAME`, a file (`SUFFIXES`), or tensors by name.
        name: what messages call them; the source if not given.

    Raises:
        UserError: for a file that cannot be read, holds more than tensors, or is another architecture's; for weights
            that cannot be fetched.
    """
    name = name or str(source)
    network = getattr(encoder, "body", encoder)
    if isinstance(source, Mapping):
        state = dict(source)
    elif str(source).startswith(TIMM):
        state = _timm_state(str(source), encoder)
    else:
        state = read_state(Path(source))
    wanted = {key: tensor for key, tensor in network.state_dict().items() if not key.endswith(COUNTERS)}
    best: dict[str, Tensor] = {}
    for how, match in _WAYS.items():
        names = match(network, wanted, state)
        found = _adapted({key: state[theirs] for key, theirs in names.items()}, wanted, network)
        if len(_fitting(found, wanted)) == len(wanted):
            used = set(names.values())
            return _loaded(name, network, found, how, unused=[theirs for theirs in state if theirs not in used])
        best = max(best, found, key=lambda each: len(_fitting(each, wanted)))
    if len(_fitting(found := _converted(state, wanted, network), wanted)) == len(wanted):
        return _loaded(name, network, found, "timm's names", unused=[])
    raise UserError(_another_architecture(name, encoder, best, wanted))


def _loaded(name: str, network: nn.Module, found: State, how: str, *, unused: list[str]) -> LoadedWeights:
    if broken := next((key for key, tensor in found.items() if not tensor.isfinite().all()), None):
        raise UserError(
            f"weights {name} must be finite numbers, {broken} has others: they are of a training that failed"
        )
    network.load_state_dict(found, strict=False)
    return LoadedWeights(len(found), tuple(each for each in unused if not each.endswith(COUNTERS)), how)


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name; those of nested dictionaries have dotted names.

    Raises:
        UserError: for a file that is not there, is not one of `SUFFIXES`, is damaged, or holds code.
    """
    if not path.is_file():
        raise UserError(f"weights {path}: there is no such file")
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"weights must be a file of {', '.join(SUFFIXES)}, got {path}")
    try:
        if path.suffix.lower() == SAFE:
            return load_file(path)
        # The arguments of a program's command line are plain values, and DINO and MAE keep theirs.
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        remedy = "save its state_dict() alone, or as .safetensors"
        raise UserError(
            f"weights {path} can't be read: the file is damaged or holds more than tensors: {remedy}"
        ) from error
    except (OSError, SafetensorError, RuntimeError, ValueError, EOFError, KeyError, MemoryError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"weights {path} can't be read: {reason}") from error
    state = dict(_flat(content))
    if not state:
        raise UserError(f"weights {path} holds no tensors by name: save the state_dict() of the network")
    return state


def _flat(content: Any, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    if isinstance(content, Tensor):
        yield prefix.rstrip("."), content
    elif isinstance(content, Mapping) and depth < 4:
        for key, value in content.items():
            if isinstance(key, str):
                yield from _flat(value, f"{prefix}{key}.", depth + 1)


def _timm_state(source: str, encoder: nn.Module) -> dict[str, Tensor]:
    import timm

    name, config = source.removeprefix(TIMM), getattr(encoder, "config", None) or {}
    if not timm.is_model(name):
        raise UserError(f"weights '{source}': timm has no model of this name{nearest(name, timm.list_models())}")
    known = pretrained_config(name)
    if known is None or not known.has_weights:
        tagged = ", ".join(timm.list_pretrained(f"{name.split('.')[0]}.*")[:4]) or "none"
        raise UserError(f"weights '{source}': timm has none of this name; of this architecture there are {tagged}")
    own = str(config.get("name", "")) == f"{TIMM}{name}"
    shape: dict[str, Any] = {"num_classes": 0}
    if own:
        shape |= {"in_chans": config["channels"]}
    where = f"https://huggingface.co/{known.hf_hub_id}" if known.hf_hub_id else known.url
    remedy = f"get the file from {where} and give it to pretrain, --encoder {TIMM}{name} --weights FILE"
    if not _is_cached(known) and not _is_reachable(where):
        raise UserError(f"weights '{source}' can't be fetched, {urlsplit(where).hostname} can't be reached: {remedy}")
    try:
        try:
            model = timm.create_model(name, pretrained=True, **shape, **({"img_size": config["size"]} if own else {}))
        except TypeError:  # convolutional: takes any size
            model = timm.create_model(name, pretrained=True, **shape)
    except Exception as error:  # of the hub, of the network, of three libraries
        raise UserError(f"weights '{source}' can't be fetched ({type(error).__name__}): {remedy}") from error
    return dict(model.state_dict())


def pretrained_config(name: str) -> Any:
    """What timm knows of the weights of a model: their input, normalization and place; None for an unknown tag."""
    import timm

    try:
        return timm.models.get_pretrained_cfg(name, allow_unregistered=True)
    except RuntimeError:
        return None


def _is_cached(known: Any) -> bool:
    """Whether the weights have been fetched before."""
    from huggingface_hub import try_to_load_from_cache

    names = ("model.safetensors", "pytorch_model.bin")
    return bool(known.hf_hub_id) and any(
        isinstance(try_to_load_from_cache(known.hf_hub_id, name), str) for name in names
    )


def _is_reachable(url: str) -> bool:
    """Whether the server has an address here; behind a proxy that is not known. The hub alone would try for minutes."""
    if getproxies():
        return True
    try:
        socket.getaddrinfo(urlsplit(url).hostname, 443)
    except OSError:
        return False
    return True


def _by_prefix(network: nn.Module, wanted: Collection[str], state: State) -> dict[str, str]:
    """The file's name for each of the encoder's, where one prefix stands before all."""
    counts: Counter[str] = Counter()
    for theirs in state:
        places = [0, *(place + 1 for place, letter in enumerate(theirs) if letter == ".")]
        counts.update(theirs[:place] for place in places if theirs[place:] in wanted)
    if not counts:
        return {}
    most = max(counts.values())
    prefix = min((each for each, count in counts.items() if count == most), key=_preference)
    return {name: prefix + name for name in wanted if prefix + name in state}


def _preference(prefix: str) -> tuple[bool, int, int]:
    secondary = any(word in prefix for word in SECONDARY)
    return secondary, next((place for place, word in enumerate(COPIES) if word in prefix), len(COPIES)), len(prefix)


def _by_place(network: nn.Module, wanted: Collection[str], state: State) -> dict[str, str]:
    """As `_by_prefix`, where layers are named by their place, as `nn.Sequential(*network.children())` names them."""
    places = {name: str(place) for place, (name, _) in enumerate(network.named_children())}
    spelled = {}
    for name in wanted:
        first, _, rest = name.partition(".")
        if first in places:
            spelled[f"{places[first]}.{rest}"] = name
    return {spelled[name]: theirs for name, theirs in _by_prefix(network, spelled, state).items()}


def _by_order(network: nn.Module, wanted: State, state: State) -> dict[str, str]:
    """The same tensors in the same order under other names; a classifier may follow."""
    theirs = [name for name in state if not name.endswith(COUNTERS)]
    fits = len(theirs) >= len(wanted) and all(
        _fits(state[name], own) or _of_colours(state[name], own)
        for name, own in zip(theirs, wanted.values(), strict=False)
    )
    return dict(zip(wanted, theirs, strict=False)) if fits else {}


_WAYS: dict[str, Callable[[nn.Module, State, State], dict[str, str]]] = {
    "name": _by_prefix,
    "place in the row of layers": _by_place,
    "order and shape": _by_order,
}


def _adapted(found: dict[str, Tensor], wanted: State, network: nn.Module) -> dict[str, Tensor]:
    """Tensors of another input made to fit: fewer channels, another number of places."""
    if len(_fitting(found, wanted)) == len(wanted) or not found:
        return found
    found = _converted(found, wanted, network) or found
    for name, tensor in found.items():
        if _of_colours(tensor, wanted[name]):
            from timm.models import adapt_input_conv

            found[name] = adapt_input_conv(wanted[name].shape[1], tensor)
    return found


def _converted(state: State, wanted: State, network: nn.Module) -> dict[str, Tensor]:
    """What timm makes of weights of its networks that are spelled as elsewhere (CLIP), or of another image size."""
    module = type(network).__module__
    convert = getattr(importlib.import_module(module), "checkpoint_filter_fn", None)
    if not module.startswith("timm.") or convert is None:
        return {}
    try:
        return {name: value for name, value in convert(dict(state), network).items() if name in wanted}
    except (KeyError, RuntimeError, AttributeError, AssertionError, ValueError, IndexError):
        return {}  # not of this kind


def _fits(theirs: Tensor, own: Tensor) -> bool:
    return theirs.shape == own.shape


def _of_colours(theirs: Tensor, own: Tensor) -> bool:
    """Whether one is a convolution of three channels, the other the same of another number."""
    rest = theirs.shape[:1] + theirs.shape[2:] == own.shape[:1] + own.shape[2:]
    return theirs.ndim == own.ndim == 4 and theirs.shape[1] == 3 != own.shape[1] and rest


def _fitting(found: State, wanted: State) -> set[str]:
    return {name for name, tensor in found.items() if _fits(tensor, wanted[name])}


def _another_architecture(name: str, encoder: nn.Module, found: State, wanted: State) -> str:
    fitting = _fitting(found, wanted)
    first = next(key for key in wanted if key not in fitting)
    own = tuple(wanted[first].shape)
    theirs = f"has {tuple(found[first].shape)} there" if first in found else "has none of this name"
    return (
        f"weights {name} are not those of {encoder_name(encoder)}: {len(fitting)} of its {len(wanted)} tensors fit; "
        f"its {first} is {own}, the file {theirs}: "
        "name the architecture of the weights with --encoder, and their --size"
    )
