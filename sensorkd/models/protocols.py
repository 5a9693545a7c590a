"""What training and inference ask of a network: a student that ships, and the same with auxiliaries.

`Student` and `PlainStudent` are the one, `LayeredStudent` and `LayeredPlain` the other. Neither pair shares
a base class: they have no code in common, only these names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

from torch import Tensor, nn

from sensorkd.models.layered import LayeredOutput, LayeredStudent
from sensorkd.models.plain import PlainStudent
from sensorkd.models.plain_layered import LayeredPlain
from sensorkd.models.student import Student, TrunkOutput

__all__ = ["AnyLayered", "AnyStudent", "Network"]


class Network(Protocol):
    """What all torch modules have."""

    def parameters(self) -> Iterator[nn.Parameter]: ...  # noqa: D102

    def buffers(self) -> Iterator[Tensor]: ...  # noqa: D102

    def modules(self) -> Iterator[nn.Module]: ...  # noqa: D102

    def state_dict(self) -> dict[str, Any]: ...  # noqa: D102

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any: ...  # noqa: D102

    def train(self, mode: bool = True) -> Self: ...  # noqa: D102

    def eval(self) -> Self: ...  # noqa: D102


class AnyStudent(Network, Protocol):
    """Native samples and presence in, logits and embedding out; see `Student`."""

    modalities: tuple[str, ...]
    classes: int
    training: bool
    classifier: nn.Linear

    def prepare(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Native samples to normalised floats."""
        ...

    def encode(self, modality: str, x: Tensor) -> list[Tensor]:
        """Feature maps of one modality, shallow to deep."""
        ...

    def pool(self, feature_map: Tensor) -> Tensor:
        """A feature map as the fusion sees it."""
        ...

    def fuse(self, pooled: Mapping[str, Sequence[Tensor]], presence: Tensor) -> list[Tensor]:
        """z[s] of every stage."""
        ...

    def trunk(
        self, prepared: Mapping[str, Tensor], presence: Tensor, fusion_presence: Tensor | None = None
    ) -> TrunkOutput:
        """Everything up to the logits."""
        ...

    def observe(self, prepared: Mapping[str, Tensor], presence: Tensor) -> None:
        """Run what has batch statistics, for these only."""
        ...

    def __call__(self, inputs: Mapping[str, Tensor], presence: Tensor) -> Any:
        """Logits and embedding."""
        ...


class AnyLayered(Network, Protocol):
    """A student and its training-only classifiers; see `LayeredStudent`."""

    families: dict[str, int]
    transforms: int
    training: bool

    @property
    def student(self) -> AnyStudent:
        """What ships."""
        ...

    def with_families(self, families: Mapping[str, int]) -> Self:
        """The very same student with fresh auxiliaries for other families of transforms."""
        ...

    def without_auxiliaries(self) -> Self:
        """The very same student with nothing around it."""
        ...

    def observe(self, prepared: Mapping[str, Tensor], presence: Tensor) -> None:
        """Run what has batch statistics, auxiliaries included, for these only."""
        ...

    def by_view(
        self, prepared: Mapping[str, Tensor], presence: Tensor, fusion_presence: Tensor, *, views: int
    ) -> LayeredOutput:
        """Of V views of B windows each, one after the other."""
        ...


if TYPE_CHECKING:
    # mypy refuses these when one of the networks no longer has what is asked of it.
    def _students(fused: Student, plain: PlainStudent) -> tuple[AnyStudent, AnyStudent]:
        return fused, plain

    def _networks(fused: LayeredStudent, plain: LayeredPlain) -> tuple[AnyLayered, AnyLayered]:
        return fused, plain
