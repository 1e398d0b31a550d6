"""Encoders turn a view into an embedding: the only part that outlives training."""

from likewise.encoders.base import Encoder, adopt
from likewise.encoders.image import ImageEncoder, default_image_encoder, image_encoder

__all__ = ["Encoder", "ImageEncoder", "adopt", "default_image_encoder", "image_encoder"]
