"""Methods by name. A method is one file with one class; an entry in METHODS registers it."""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any, get_type_hints

from likewise.checks import check_types
from likewise.errors import UserError, nearest

if TYPE_CHECKING:
    from torch import nn

    from likewise.methods.base import Method


METHODS = {
    "simclr": "likewise.methods.simclr:SimCLR",
    "siamese": "likewise.methods.siamese:Siamese",
    "nnclr": "likewise.methods.nnclr:NNCLR",
    "instdisc": "likewise.methods.instdisc:InstDisc",
    "pirl": "likewise.methods.pirl:PIRL",
    "moco-v1": "likewise.methods.moco:MoCoV1",
    "moco-v2": "likewise.methods.moco:MoCoV2",
    "densecl": "likewise.methods.densecl:DenseCL",
    "moco-v3": "likewise.methods.moco_v3:MoCoV3",
    "atc": "likewise.methods.atc:ATC",
    "swav": "likewise.methods.swav:SwAV",
    "deepcluster": "likewise.methods.deepcluster:DeepCluster",
    "byol": "likewise.methods.byol:BYOL",
    "simsiam": "likewise.methods.simsiam:SimSiam",
    "dino": "likewise.methods.dino:DINO",
    "dinov2": "likewise.methods.dinov2:DINOv2",
    "distill": "likewise.methods.distill:Distill",
    "barlow-twins": "likewise.methods.barlow_twins:BarlowTwins",
    "vicreg": "likewise.methods.vicreg:VICReg",
    "vicregl": "likewise.methods.vicregl:VICRegL",
    "lejepa": "likewise.methods.lejepa:LeJEPA",
    "autoencoder": "likewise.methods.autoencoder:Autoencoder",
    "contrastive-autoencoder": "likewise.methods.contrastive_autoencoder:ContrastiveAutoencoder",
    "denoising-autoencoder": "likewise.methods.denoising_autoencoder:DenoisingAutoencoder",
    "vae": "likewise.methods.vae:VAE",
    "mae": "likewise.methods.mae:MAE",
    "rotnet": "likewise.methods.rotnet:RotNet",
    "relative-position": "likewise.methods.relative_position:RelativePosition",
    "jigsaw": "likewise.methods.jigsaw:Jigsaw",
    "dim": "likewise.methods.deep_infomax:DeepInfoMax",
    "cpc": "likewise.methods.cpc:CPC",
    "clip": "likewise.methods.clip:CLIP",
    "siglip": "likewise.methods.siglip:SigLIP",
    "slip": "likewise.methods.slip:SLIP",
    "bag-of-words": "likewise.methods.bag_of_words:BagOfWords",
    "bert": "likewise.methods.bert:BERT",
    "tsdae": "likewise.methods.tsdae:TSDAE",
    "gpt": "likewise.methods.gpt:GPT",
    "sentence-order": "likewise.methods.sentence_order:SentenceOrder",
    "simcse": "likewise.methods.simcse:SimCSE",
    "wav2vec2": "likewise.methods.wav2vec2:Wav2Vec2Pretraining",
    "best-rq": "likewise.methods.best_rq:BestRQ",
    "hubert": "likewise.methods.hubert:HuBERT",
    "cola": "likewise.methods.cola:COLA",
    "cpc-audio": "likewise.methods.cpc_audio:AudioCPC",
    "protonet": "likewise.methods.protonet:ProtoNet",
    "maml": "likewise.methods.maml:MAML",
    "fomaml": "likewise.methods.maml:FOMAML",
    "reptile": "likewise.methods.reptile:Reptile",
    "contrastive-maml": "likewise.methods.contrastive_maml:ContrastiveMAML",
}


def method_class(name: str) -> type[Method]:
    """The class of a method.

    Raises:
        UserError: for an unknown name, with the nearest right one.
    """
    if name not in METHODS:
        raise UserError(f"unknown method '{name}'{nearest(name, METHODS)}; `likewise methods` lists them all")
    module, _, attribute = METHODS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def method_options(name: str) -> dict[str, Any]:
    """The hyperparameters of a method, with their defaults."""
    parameters = inspect.signature(method_class(name)).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


def build_method(name: str, encoder: nn.Module, options: dict[str, Any]) -> Method:
    """A method around an encoder.

    Raises:
        UserError: for an unknown method or option, or an impossible value.
    """
    known = method_options(name)
    for option in options:
        if option not in known:
            raise UserError(f"{name} has no option '{option}'{nearest(option, known)}; it has {', '.join(known)}")
    cls = method_class(name)
    return cls(encoder, **check_types(options, get_type_hints(cls.__init__)))
