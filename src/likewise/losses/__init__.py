"""Losses of embeddings: pure functions, exact, with memory linear in the batch, for any training loop.

They import torch and, of ours, only checks and processes.
"""

from __future__ import annotations

from likewise.distributed import gather
from likewise.losses.bilinear import curl
from likewise.losses.clustering import sinkhorn, swapped_prediction
from likewise.losses.contrastive import dcl, dcl_w, hcl, info_nce, nce, nt_xent, nt_xent_hardest, pair_matching, sup_con
from likewise.losses.cross_modal import clip_loss, siglip_loss
from likewise.losses.distillation import dino, dino_center, ibot, negative_cosine, similarity_matching
from likewise.losses.gaussian import center_prediction, random_directions, sigreg
from likewise.losses.geometry import alignment, effective_rank, koleo, lidar, spread, uniformity
from likewise.losses.gradient_cache import encode_cached
from likewise.losses.metric import margin_contrastive, mined_triplet, triplet
from likewise.losses.mutual_information import info_nce_parts, jsd
from likewise.losses.places import dense_info_nce, vicreg_places
from likewise.losses.redundancy import barlow_twins, vicreg

__all__ = [
    "alignment",
    "barlow_twins",
    "center_prediction",
    "clip_loss",
    "curl",
    "dcl",
    "dcl_w",
    "dense_info_nce",
    "dino",
    "dino_center",
    "effective_rank",
    "encode_cached",
    "gather",
    "hcl",
    "ibot",
    "info_nce",
    "info_nce_parts",
    "jsd",
    "koleo",
    "lidar",
    "margin_contrastive",
    "mined_triplet",
    "nce",
    "negative_cosine",
    "nt_xent",
    "nt_xent_hardest",
    "pair_matching",
    "random_directions",
    "siglip_loss",
    "sigreg",
    "similarity_matching",
    "sinkhorn",
    "spread",
    "sup_con",
    "swapped_prediction",
    "triplet",
    "uniformity",
    "vicreg",
    "vicreg_places",
]
