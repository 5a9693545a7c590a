from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from sensorkd.checks import Finding

Found = Callable[..., dict[str, list[Finding]]]


def stored(tmp_path: Path, data: Any, name: str = "lab.h5", **how: Any) -> Path:
    path = tmp_path / name
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=data, **how)
    return path


def noise(count: int = 3000) -> Any:
    return np.random.default_rng(0).normal(0, 1, (count, 3)).astype(np.float32)


def test_samples_without_a_checksum_are_a_hint(tmp_path: Path, layout_file: Any, found: Found) -> None:
    layout = layout_file({"identity": {"machine": "m"}})
    assert set(found(stored(tmp_path, noise()), layout=layout)) == {"no-checksum"}
    checked = stored(tmp_path, noise(), "checked.h5", chunks=(200, 3), fletcher32=True)
    assert not found(checked, layout=layout)


def test_chunks_across_channels_are_a_hint(tmp_path: Path, layout_file: Any, found: Found) -> None:
    path = stored(tmp_path, noise(), chunks=(500, 2), fletcher32=True)
    findings = found(path, layout=layout_file({"identity": {"machine": "m"}}))
    assert set(findings) == {"cut-chunks"}
    assert findings["cut-chunks"][0].found == "chunks (500, 2) of shape (3000, 3)"


def test_chunks_that_make_windows_slow_are_told_with_figures(
    tmp_path: Path, layout_file: Any, found: Found
) -> None:
    path = stored(tmp_path, noise(400_000), chunks=(400_000, 3), fletcher32=True)
    (finding,) = found(path, layout=layout_file({"identity": {"machine": "m"}}))["slow-windows"]
    assert finding.found == "4.8 MB unpacked for 2 s of 0.0012 MB"
    assert finding.value == 4000.0


def test_chunks_never_written_are_told_and_are_no_zeros(
    tmp_path: Path, layout_file: Any, found: Found
) -> None:
    path = tmp_path / "lab.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("data", (3000, 3), "f4", chunks=(500, 3), fletcher32=True)
        data[:1000] = noise(1000)
        data[2000:] = noise(1000)
    findings = found(path, layout=layout_file({"identity": {"machine": "m"}}))
    (finding,) = findings["never-written"]
    assert "1,000 of 3,000 samples in 1 place" in finding.found
    assert "stuck" not in findings  # the zeros between are not read
