"""What only the other recordings tell."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from sensorkd.checks import Finding
from sensorkd.timeline import SECOND

Found = Callable[..., dict[str, list[Finding]]]
WriteArchive = Callable[..., Path]


def test_a_stream_that_most_have_and_one_lacks_is_told(
    write_archive: WriteArchive, shake: Any, heat: Any, tmp_path: Path, found: Found
) -> None:
    for number, name in enumerate(("a.h5", "b.h5", "c.h5")):
        both = {"acceleration": shake(t0=number), "heat": heat(t0=number, unit="degC")}
        write_archive(both if number < 2 else {"acceleration": shake(t0=number)}, name=name)
    (finding,) = found(tmp_path)["missing-stream"]
    assert (finding.place.recording, finding.place.stream) == ("c.h5::monday", "heat")
    assert finding.expected == "heat (temperature), as in 2 of 3 recordings"


def test_a_stream_that_few_have_is_not_missed(
    write_archive: WriteArchive, shake: Any, heat: Any, tmp_path: Path, found: Found
) -> None:
    write_archive({"acceleration": shake(), "temperature": heat()}, name="a.h5")
    write_archive({"acceleration": shake(t0=1)}, name="b.h5")
    assert "missing-stream" not in found(tmp_path)


def test_the_same_samples_under_two_names_are_told(
    write_archive: WriteArchive, shake: Any, heat: Any, tmp_path: Path, found: Found
) -> None:
    first = write_archive({"acceleration": shake(), "temperature": heat()}, name="a.h5")
    write_archive({"acceleration": shake(rate=50.0, samples=shake()["samples"] + 1)}, name="b.h5")
    shutil.copy(first, tmp_path / "z.h5")
    (finding,) = found(tmp_path)["identical-recordings"]
    assert (finding.place.recording, finding.found) == ("z.h5::monday", "the samples of a.h5::monday")
    assert "identical-recordings" not in found(tmp_path, quick=True)


def test_the_same_id_from_two_files_is_told(write_archive: WriteArchive, heat: Any, found: Found) -> None:
    paths = [write_archive({"temperature": heat()}, name=f"{folder}/press.h5") for folder in ("a", "b")]
    (finding,) = found(*paths)["repeated-id"]
    assert finding.place.file == str(paths[1]) and str(paths[0]) in finding.found
    assert "repeated-id" not in found(paths[0].parents[1])


def test_channels_in_another_order_are_told(
    write_archive: WriteArchive, shake: Any, tmp_path: Path, found: Found
) -> None:
    for number, channels in enumerate((("x", "y"), ("x", "y"), ("y", "x"))):
        write_archive({"acceleration": shake(t0=number, channels=channels)}, name=f"{number}.h5")
    (finding,) = found(tmp_path)["mixed-channels"]
    assert finding.found == "y, x"
    assert finding.expected == "x, y, as in 2 of 3 recordings, such as 0.h5::monday"


def test_another_rate_is_a_hint(
    write_archive: WriteArchive, shake: Any, tmp_path: Path, found: Found
) -> None:
    for number, rate in enumerate((100.0, 100.5, 100.0, 120.0)):
        write_archive({"acceleration": shake(rate=rate)}, name=f"{number}.h5")
    (finding,) = found(tmp_path)["mixed-rates"]
    assert (finding.place.recording, finding.found) == ("3.h5::monday", "120 Hz")


def test_a_class_in_one_recording_only_is_a_hint(
    write_archive: WriteArchive, heat: Any, tmp_path: Path, found: Found
) -> None:
    for number, label in enumerate(("idle", "idle", "stops")):
        labels = {"state": [(0, SECOND, label)]}
        write_archive({"temperature": heat(t0=number)}, name=f"{number}.h5", labels=labels)
    (finding,) = found(tmp_path)["rare-class"]
    assert finding.found == "state 'stops' here only"
    assert finding.place.inside == "/monday/labels/state"


def test_an_identity_that_one_recording_lacks_is_told(
    write_archive: WriteArchive, heat: Any, tmp_path: Path, found: Found
) -> None:
    for number in range(3):
        path = write_archive({"temperature": heat(t0=number)}, name=f"{number}.h5")
    with h5py.File(path, "r+") as file:
        del file["monday"].attrs["machine"]
        file["monday"].attrs["session"] = " "
    findings = found(tmp_path)
    (missing,), (empty,) = findings["missing-identity"], findings["empty-identity"]
    assert missing.expected == "machine (identity), as in 2 of 3 recordings"
    assert empty.found == "session = ' '"


def test_a_recording_without_any_identity_is_told(
    write_archive: WriteArchive, heat: Any, found: Found
) -> None:
    path = write_archive({"temperature": heat()})
    with h5py.File(path, "r+") as file:
        del file["monday"].attrs["machine"], file["monday"].attrs["session"]
    assert found(path)["no-identity"][0].place.recording == "press.h5::monday"


def test_labels_outside_the_recording_are_told_with_both_ranges(
    write_archive: WriteArchive, heat: Any, found: Found
) -> None:
    labels = {"state": [(0, 5 * SECOND, "idle"), (3600 * SECOND, 3610 * SECOND, "runs")]}
    (finding,) = found(write_archive({"temperature": heat()}, labels=labels))["label-outside"]
    assert finding.found.startswith("1 of 2 intervals of 'state', the first 'runs' in 3,600.000 s to")
    assert finding.expected == "0.000 s to 10.000 s"


def test_an_unknown_modality_names_the_nearest(write_archive: WriteArchive, heat: Any, found: Found) -> None:
    path = write_archive({"heat": heat(modality="temprature", samples=np.full((40, 1), 5000.0))})
    findings = found(path)
    assert set(findings) == {"unknown-modality"}
    assert "did you mean 'temperature'" in findings["unknown-modality"][0].cure


def test_a_constant_channel_is_a_hint_where_rest_is_normal(write_archive: WriteArchive, found: Found) -> None:
    shut = {"samples": np.zeros((600, 1), np.float32), "rate": 1.0, "modality": "flow", "unit": "l/min"}
    findings = found(write_archive({"flow": shut}))
    assert {item.importance for group in findings.values() for item in group} == {"hint"}
    assert findings["constant"][0].found == "0 l/min in all 600 samples"
