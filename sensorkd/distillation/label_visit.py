"""The earlier self goes through the windows without a label and says what it takes each of them for.

Axes: B windows of a chunk, U windows visited, M transforms, N classes. That a mean over all transforms of a
joint classifier tells the class better than any single view: Lee, Hwang, Shin, ICML 2020. The rest is ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sensorkd.distillation.class_balance import balanced
from sensorkd.distillation.methods import Method
from sensorkd.distillation.pretext import Transform, transform_all
from sensorkd.distillation.pseudo_labels import Lesson, PseudoLabels
from sensorkd.distillation.sight import Sight
from sensorkd.distillation.soft_targets import EarlierSelf
from sensorkd.models.layered import LayeredOutput

__all__ = ["VisitedLabels", "visit_labels"]

# Windows of the rarest class that a visit must be expected to hold, as in the rule for a chi-squared test.
EXPECTED = 5


class VisitedLabels:
    """What the windows of one visit are taught.

    Args:
        windows: U numbers of training windows. shares: (U, N). weight: (U,) 1 where a window is taught, 0
            where its class is not likely enough, or nobody was asked.
    """

    def __init__(self, windows: Sequence[int], shares: Tensor, weight: Tensor) -> None:
        self._places = {window: place for place, window in enumerate(windows)}
        self.shares, self.weight = shares, weight

    def of(self, windows: Tensor) -> PseudoLabels:
        """The lesson of some windows (B,), the same for the classifier that ships and every auxiliary."""
        places = [self._places[window] for window in windows.tolist()]
        return PseudoLabels(Lesson(self.shares[places], self.weight[places]))


def visit_labels(
    past: EarlierSelf,
    chunks: Iterable[tuple[Sequence[int], Mapping[str, Tensor], Tensor]],
    transforms: Mapping[str, Sequence[Transform]],
    *,
    method: Method,
    step: int,
    class_shares: Tensor | None,
) -> VisitedLabels:
    """Let an earlier self label windows as they were logged: no augmentation, every sensor, every view.

    Its classifier and its deepest auxiliary under each of the transforms have a voice each. Their mean
    log-probability is sharpened, p^sharpness normalised, or the network would learn its own doubts; and
    brought to the class shares, where these are given and so many windows must show them. The method says
    how sharp, how likely a class must be, and whether it is taught alone (`hard`).

    Args:
        chunks: window numbers, prepared floats by modality, and presence (B, K) of the sensors that are
            asked, all 0 for a window that is left alone. Batch norm takes its statistics of a chunk: it
            should be as large and as mixed as a batch.
        transforms: of each modality. step: at which the earlier self is asked.
    """
    numbers: list[int] = []
    opinions: list[Tensor] = []
    asked: list[Tensor] = []
    views = list(range(max(map(len, transforms.values()))))
    for windows, prepared, presence in chunks:
        rows = presence.repeat(len(views), 1)
        sight = Sight(transform_all(prepared, transforms, views), rows, rows, views)
        opinions.append(_opinion(past.recall(sight, step=step).output, views))
        asked.append(presence.any(dim=1))
        numbers += windows
    shares, heard = (method.sharpness * torch.cat(opinions)).softmax(dim=1), torch.cat(asked)
    if class_shares is not None and _enough(int(heard.sum()), class_shares):
        shares[heard] = balanced(shares[heard], class_shares)
    weight = (heard & (shares.max(dim=1).values >= method.threshold)).float()
    if method.pseudo == "hard":
        shares = F.one_hot(shares.argmax(dim=1), shares.shape[1]).float()
    return VisitedLabels(numbers, shares, weight)


def _enough(windows: int, shares: Tensor) -> bool:
    """Whether so many windows must show the shares; one alone would be taught them, whatever it shows."""
    return windows * float(shares[shares > 0].min()) >= EXPECTED


def _opinion(output: LayeredOutput, views: Sequence[int]) -> Tensor:
    """(B, N) mean log-probability over the classifier and the deepest auxiliary's views."""
    logits = output.trunk.logits.float()
    size, classes = len(logits) // len(views), logits.shape[1]
    voices = [logits[:size].log_softmax(dim=1)]
    if output.fused:
        joint = output.fused[-1].float().reshape(len(views), size, classes, -1)
        voices += [joint[place, :, :, view].log_softmax(dim=1) for place, view in enumerate(views)]
    return torch.stack(voices).mean(dim=0)
