"""The conformance suite for adapters: subclass it, give an example, run pytest.

class TestHumidity(AdapterChecks):
    modality = "humidity"

    def example(self) -> AdapterExample:
        samples = np.random.default_rng(0).normal(45, 5, (600, 1)).astype("float32")
        return AdapterExample(samples, rate=1.0, unit="%", span=60.0)
"""

from __future__ import annotations

import multiprocessing
import pickle
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sensorkd import timeline
from sensorkd.adapters import SensorAdapter, adapter_for, installed_adapters
from sensorkd.distillation.augmentation import AugmentationDraw
from sensorkd.encoding import InputEncoding
from sensorkd.export.gate import compare
from sensorkd.export.onnx import export_onnx
from sensorkd.models.frontend import ChannelStats
from sensorkd.models.size import SIZES
from sensorkd.models.student import Student
from sensorkd.recordings import Recording, RecordingWriter, Segments, open_recordings
from sensorkd.runs.build import adapters_for, build_student
from sensorkd.windows.encode import InputRequest, fix_encodings
from sensorkd.windows.plan import plan_windows
from sensorkd.windows.read import read_window

__all__ = ["AdapterChecks", "AdapterExample"]


@dataclass(frozen=True)
class AdapterExample:
    """A few windows' worth of plausible samples.

    samples: (n, C) or (n, H, W, C) as logged, not constant and not symmetric in time. span: seconds
    of a window; there must be at least four of them.
    """

    samples: NDArray[Any]
    rate: float
    unit: str
    span: float
    scale: float = 1.0
    offset: float = 0.0
    channels: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


class AdapterChecks(ABC):
    """What every adapter promises. The built-in ones pass the same checks."""

    modality: ClassVar[str]

    @abstractmethod
    def example(self) -> AdapterExample:
        """Samples to check with."""

    # ---- what the checks are made of

    def _adapter(self) -> SensorAdapter:
        return adapter_for(self.modality, self.example().options)

    def _recording(
        self,
        folder: Path,
        *,
        unit: str | None = None,
        gap: bool = False,
        factor: float = 1.0,
        shift: float = 0.0,
    ) -> Recording:
        """The example as an archive; in another unit, `factor * value + shift` of the example's."""
        example = self.example()
        path = folder / f"example-{len(list(folder.glob('*.h5')))}.h5"
        half = len(example.samples) // 2
        segments = None
        if gap:
            later = timeline.duration(example.rate, half) + 1000 * timeline.SECOND
            segments = Segments(
                t0=np.array([0, later]),
                rate=np.array([example.rate] * 2),
                offset=np.array([0, half]),
                count=np.array([half, len(example.samples) - half]),
            )
        with RecordingWriter(path) as writer:
            draft = writer.recording("r", clock="relative", identity={"machine": "m"})
            draft.add_stream(
                "input",
                example.samples,
                rate=example.rate,
                modality=self.modality,
                unit=unit or example.unit,
                scale=example.scale * factor,
                offset=example.offset * factor + shift,
                channels=example.channels,
                segments=segments,
            )
        return open_recordings(path)[0]

    def _request(self) -> dict[str, InputRequest]:
        example = self.example()
        return {"input": InputRequest(span=round(example.span * timeline.SECOND), options=example.options)}

    def _student(self, encodings: Mapping[str, InputEncoding]) -> Student:
        encoding = encodings["input"]
        values = self.example().samples.astype(np.float64) * encoding.scale + encoding.offset
        flat = values.reshape(-1, values.shape[-1])
        deviation = max(float(np.nanstd(flat)), 1e-6)
        stats = ChannelStats(tuple(np.nanmean(flat, axis=0).tolist()), (deviation,) * flat.shape[1])
        adapters = adapters_for(encodings, {"input": self.example().options})
        return build_student(
            encodings, {"input": stats}, adapters, classes=("a", "b", "c"), size=SIZES["tiny"], seed=0
        ).eval()

    def _window(self, folder: Path) -> tuple[dict[str, InputEncoding], NDArray[Any]]:
        recording = self._recording(folder)
        encodings = fix_encodings([recording], self._request())
        window, presence = read_window(recording, recording.end, encodings)[:2]
        assert presence.tolist() == [1.0], (
            "the example's last window is not present: check valid_range and unit"
        )
        return encodings, window["input"]

    def _prepared(self, folder: Path) -> torch.Tensor:
        encodings, window = self._window(folder)
        with torch.no_grad():
            prepared: torch.Tensor = self._student(encodings).prepare(
                {"input": torch.from_numpy(window[None])}
            )["input"]
        return prepared

    # ---- the promises

    def test_is_installed_under_its_modality(self) -> None:
        """An entry point of group sensorkd.adapters carries the modality's name."""
        assert self.modality in installed_adapters()
        assert self._adapter().spec.modality == self.modality

    def test_imports_without_torch(self) -> None:
        """Archives are read on machines without torch, so an adapter imports it in build methods only."""
        module = installed_adapters()[self.modality].module
        code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

    def test_survives_pickling(self) -> None:
        """Worker processes receive adapters by pickle."""
        adapter = self._adapter()
        again = pickle.loads(pickle.dumps(adapter))
        assert type(again) is type(adapter)
        assert vars(again) == vars(adapter)

    def test_reads_the_same_in_a_spawned_process(self, tmp_path: Path) -> None:
        """A recording crosses to another process and reads the same samples there."""
        recording = self._recording(tmp_path)
        encodings = fix_encodings([recording], self._request())
        here, _ = read_window(recording, recording.end, encodings)[:2]
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            there = pool.apply(read_window, (recording, recording.end, encodings)).inputs
        assert np.array_equal(here["input"], there["input"])

    def test_opening_reads_no_samples(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Planning windows touches metadata only."""
        recording = self._recording(tmp_path)

        def refuse(*_: object) -> None:
            raise AssertionError("samples were read while planning")

        monkeypatch.setattr("sensorkd.recordings.stream.SampleSource.read", refuse)
        encodings = fix_encodings([recording], self._request())
        assert len(plan_windows([recording], encodings, hop=timeline.SECOND))

    def test_windows_are_the_logged_samples(self, tmp_path: Path) -> None:
        """Random access gives what a plain slice of the array gives."""
        recording = self._recording(tmp_path)
        encodings = fix_encodings([recording], self._request())
        steps, samples = encodings["input"].steps, self.example().samples
        for end in (steps, steps + 1, len(samples) // 2, len(samples)):
            t_ref = int(timeline.sample_times(0, self.example().rate, end))
            window, presence = read_window(recording, t_ref, encodings)[:2]
            assert presence.tolist() == [1.0]
            assert np.array_equal(window["input"], samples[end - steps : end])

    def test_every_unit_gives_the_same_window(self, tmp_path: Path) -> None:
        """An archive in another accepted unit reads as the same physical values."""
        example, adapter = self.example(), self._adapter()
        spec = adapter.spec_for(example.channels)
        reference = self._recording(tmp_path)
        encodings = fix_encodings([reference], self._request())
        want, _ = read_window(reference, reference.end, encodings)[:2]
        to_own, own_shift = spec.conversion(example.unit)
        for unit, (factor, shift) in spec.units.items():
            other = self._recording(
                tmp_path, unit=unit, factor=to_own / factor, shift=(own_shift - shift) / factor
            )
            found, presence = read_window(other, other.end, encodings)[:2]
            assert presence.tolist() == [1.0], f"absent in {unit}"
            gap = np.abs(found["input"].astype(float) - want["input"].astype(float)).max()
            assert gap <= 1e-4 * max(1.0, float(np.abs(want["input"].astype(float)).max())), (
                f"differs in {unit}"
            )

    def test_no_window_crosses_a_gap(self, tmp_path: Path) -> None:
        """Right after a gap there is too little to see, so the input is absent."""
        recording = self._recording(tmp_path, gap=True)
        encodings = fix_encodings([recording], self._request())
        second = int(recording.streams["input"].segments.t0[1])
        assert read_window(recording, second + 1, encodings)[1].tolist() == [0.0]
        assert read_window(recording, recording.end, encodings)[1].tolist() == [1.0]

    def test_a_short_recording_is_named(self, tmp_path: Path) -> None:
        """What is shorter than a window yields none, and is absent when asked for all the same."""
        recording = self._recording(tmp_path)
        encodings = fix_encodings([recording], self._request())
        early = int(timeline.sample_times(0, self.example().rate, max(1, encodings["input"].steps // 4)))
        assert read_window(recording, early, encodings)[1].tolist() == [0.0]

    def test_samples_out_of_range_make_it_absent(self, tmp_path: Path) -> None:
        """A sensor that reports nonsense counts as missing."""
        encodings, window = self._window(tmp_path)
        encoding = encodings["input"]
        if np.dtype(encoding.dtype).kind == "f":
            assert not encoding.is_present(1.0, encoding.assess(np.full_like(window, np.nan)).usable)
        beyond = encoding.valid_range[1] * 2 + 1
        broken = encoding.encode(np.full(window.shape, beyond), scale=1.0, offset=0.0)
        if float(broken.flat[0]) * encoding.scale + encoding.offset > encoding.valid_range[1]:
            assert not encoding.is_present(1.0, encoding.assess(broken).usable)

    def test_frontend_gives_finite_numbers_of_order_one(self, tmp_path: Path) -> None:
        """Normalised, and repaired where samples are not usable."""
        prepared = self._prepared(tmp_path)
        assert torch.isfinite(prepared).all()
        assert prepared.abs().mean() < 20

    def test_encoder_keeps_its_word(self, tmp_path: Path) -> None:
        """One map a stage, with the declared channels and rank."""
        encodings, _ = self._window(tmp_path)
        student = self._student(encodings)
        encoder = student.encoder("input")
        maps = student.encode("input", self._prepared(tmp_path))
        assert len(maps) == SIZES["tiny"].stages == len(encoder.widths)
        for feature_map, width in zip(maps, encoder.widths, strict=True):
            assert feature_map.shape[1] == width
            assert feature_map.dim() == encoder.rank + 2

    def test_transforms_keep_the_shape_and_differ(self, tmp_path: Path) -> None:
        """The first is the identity; two that look alike to the encoder could not be told apart."""
        encodings, _ = self._window(tmp_path)
        student, prepared = self._student(encodings), self._prepared(tmp_path)
        views = [transform.apply(prepared) for transform in self._adapter().pretext()]
        assert len(views) >= 2
        assert torch.equal(views[0], prepared)
        with torch.no_grad():
            maps = [student.encode("input", view)[0] for view in views]
        for index, view in enumerate(views):
            assert view.shape == prepared.shape
            for other in range(index):
                assert not torch.allclose(view, views[other], atol=1e-4)
                assert not torch.allclose(maps[index], maps[other], atol=1e-4), (
                    f"the encoder's features do not show transform {index} beside transform {other}"
                )

    def test_augmentations_keep_the_shape_and_follow_the_draw(self, tmp_path: Path) -> None:
        """The same draw gives the same change."""
        encodings, _ = self._window(tmp_path)
        prepared = self._prepared(tmp_path)
        for augmentation in self._adapter().augmentations(encodings["input"]):
            pair = [
                augmentation(prepared, AugmentationDraw(1, torch.Generator().manual_seed(5)))
                for _ in range(2)
            ]
            assert pair[0].shape == prepared.shape
            assert torch.equal(pair[0], pair[1])
            assert torch.isfinite(pair[0]).all()

    @pytest.mark.filterwarnings("ignore")
    def test_exported_graph_says_the_same(self, tmp_path: Path) -> None:
        """Frontend and encoder export to ONNX, and the gate finds no difference."""
        encodings, window = self._window(tmp_path)
        student = self._student(encodings)
        export_onnx(student, encodings, tmp_path / "model.onnx")
        inputs = {"input": np.stack([window, encodings["input"].blank()])}
        presence = np.array([[1.0], [0.0]], np.float32)
        result = compare(student, tmp_path / "model.onnx", inputs, [presence], tolerance=1e-3)
        assert result.windows == 2
