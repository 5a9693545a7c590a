"""A student of single images whose trunk is exactly a published network; nothing is fused.

It has what training and inference need of a `Student`, with one modality, `image`. Axes: B batch, C channel,
H height, W width, N classes, S stages. An image is a video of one frame, so that the transforms and
augmentations of video serve: prepared floats are (B, C, 1, H, W).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from sensorkd.encoding import InputEncoding
from sensorkd.models.frontend import ChannelStats, ImageFrontend
from sensorkd.models.residual import ImageEncoder, ImageNetwork
from sensorkd.models.student import TrunkOutput

__all__ = ["IMAGE", "PlainStudent", "image_encoding"]

IMAGE = "image"


def image_encoding(height: int, width: int) -> InputEncoding:
    """What an image in memory is: colours from 0 to 255."""
    return InputEncoding(
        modality=IMAGE,
        dtype="uint8",
        unit="1",
        scale=1.0,
        offset=0.0,
        sample_shape=(height, width, 3),
        channels=("red", "green", "blue"),
        steps=1,
        rate=1.0,
        span=None,
        valid_range=(0.0, 255.0),
        resampling="nearest",
    )


class PlainStudent(nn.Module):
    """Images in, logits and embedding out: stem, stages, global average pooling, one linear layer.

    Args:
        classes: N. stats: mean and deviation of the colours, from 0 to 255.
        size: pixels a side that the network sees; of a larger image it sees the middle, which is the
            published test on ImageNet (shorter side 256, middle 224).
    """

    def __init__(self, network: ImageNetwork, *, classes: int, stats: ChannelStats, size: int) -> None:
        super().__init__()
        self.modalities: tuple[str, ...] = (IMAGE,)
        self.classes = classes
        self.size = size
        self.frontend = ImageFrontend(image_encoding(size, size), stats)
        self.image_encoder = ImageEncoder(network)
        self.classifier = nn.Linear(self.image_encoder.widths[-1], classes)

    @property
    def stages(self) -> int:
        """S."""
        return len(self.image_encoder.stages)

    def encoder(self, modality: str) -> ImageEncoder:
        """The encoder of the one modality."""
        if modality != IMAGE:
            raise KeyError(f"a plain student has one modality, {IMAGE!r}, not {modality!r}")
        return self.image_encoder

    def prepare(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """image (B, H, W, C) uint8 -> normalised floats (B, C, 1, H, W)."""
        return {IMAGE: self.frontend(inputs[IMAGE][:, None])}

    def encode(self, modality: str, x: Tensor) -> list[Tensor]:
        """(B, C, 1, H, W) -> S feature maps of its middle, shallow to deep."""
        frame = _middle(x.squeeze(2), self.size)
        maps: list[Tensor] = self.encoder(modality)(frame)
        return maps

    def pool(self, feature_map: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C): the mean over the whole image."""
        return feature_map.mean(dim=(2, 3))

    def fuse(self, pooled: Mapping[str, Sequence[Tensor]], presence: Tensor) -> list[Tensor]:
        """S pooled maps (B, widths[s]); of an image that is hidden or absent nothing is left."""
        return [values * presence[:, :1].to(values.dtype) for values in pooled[IMAGE]]

    def trunk(
        self, prepared: Mapping[str, Tensor], presence: Tensor, fusion_presence: Tensor | None = None
    ) -> TrunkOutput:
        """Stages, pooling and classifier on prepared floats (B, C, 1, H, W); see `Student.trunk`."""
        maps = self.encode(IMAGE, prepared[IMAGE])
        shown = presence if fusion_presence is None else fusion_presence
        fused = self.fuse({IMAGE: [self.pool(value) for value in maps]}, shown)
        # Losses are computed in float32, whatever precision the stages run in.
        logits = self.classifier(fused[-1]).float()
        return TrunkOutput({IMAGE: maps}, {IMAGE: None}, fused, fused[-1], logits)

    def observe(self, prepared: Mapping[str, Tensor], presence: Tensor) -> None:
        """Run the stages on the images that are there, for their statistics only."""
        x = prepared[IMAGE][presence[:, 0] > 0]
        if len(x) > 1:
            self.encode(IMAGE, x)

    def forward(self, inputs: Mapping[str, Tensor], presence: Tensor) -> tuple[Tensor, Tensor]:
        """image (B, H, W, C) and presence (B, 1) -> logits (B, N), embedding (B, E)."""
        output = self.trunk(self.prepare(inputs), presence)
        return output.logits, output.embedding


def _middle(frame: Tensor, size: int) -> Tensor:
    """(B, C, H, W) -> its middle of at most size x size pixels."""
    height, width = frame.shape[2:]
    top, left = max(0, height - size) // 2, max(0, width - size) // 2
    return frame[:, :, top : top + size, left : left + size]


def plain_student(
    network: ImageNetwork, *, classes: int, stats: ChannelStats, size: int, seed: int
) -> PlainStudent:
    """A plain student with fresh weights drawn from the seed."""
    torch.manual_seed(seed)
    return PlainStudent(network, classes=classes, stats=stats, size=size)
