"""The shipped mappings on the real data they are for, judged against a plain reading of the same files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sensorkd.importers import import_sources, importer_for
from sensorkd.recordings import Recording, open_recordings
from sensorkd.timeline import SECOND

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("SENSORKD_DATA", ROOT.parent / "shared" / "data"))
RIG, SKAB = DATA / "hydraulic", DATA / "skab"
needs_rig = pytest.mark.skipif(not RIG.is_dir(), reason="the hydraulic rig is not in SENSORKD_DATA")
needs_skab = pytest.mark.skipif(not SKAB.is_dir(), reason="SKAB is not in SENSORKD_DATA")
CONDITIONS = ["cooler", "valve", "pump", "accumulator"]


def converted(tmp: Path, importer: str, source: Path) -> list[Recording]:
    mapping = ROOT / "examples" / "imports" / f"{source.name}.yaml"
    import_sources(importer_for(importer), [source], tmp, mapping)
    return open_recordings(tmp)


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> list[Recording]:
    return converted(tmp_path_factory.mktemp("rig"), "cycles", RIG)


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Recording, pd.DataFrame]]:
    recordings = converted(tmp_path_factory.mktemp("skab"), "csv", SKAB)
    return {item.id: (item, pd.read_csv(SKAB / item.id.replace(".h5", ".csv").split("::")[0], sep=";"))
            for item in recordings}  # fmt: skip


@needs_rig
def test_cycles_of_the_rig_are_in_blocks_of_the_same_conditions(blocks: list[Recording]) -> None:
    profile = np.loadtxt(RIG / "profile.txt", dtype=int)[:, : len(CONDITIONS)]
    index = np.loadtxt(RIG / "cycle_index.txt", dtype=int)
    changes = np.flatnonzero((np.diff(profile, axis=0) != 0).any(axis=1)) + 1
    assert len(blocks) == len(changes) + 1
    assert [block.identity for block in blocks] == [
        {"rig": "hydraulic", "block": f"b{number:03d}"} for number in range(len(blocks))
    ]
    for block, rows in zip(blocks, np.split(np.arange(len(profile)), changes), strict=True):
        for stream in block.streams.values():
            assert (stream.segments.t0 == index[rows] * 60 * SECOND).all()
            assert (stream.segments.count == round(stream.rate * 60)).all()
        for target, value in zip(CONDITIONS, profile[rows[0]], strict=True):
            assert set(block.tracks[target].label) == {str(value)}


@needs_rig
@pytest.mark.parametrize(
    ("name", "files", "unit", "rate"),
    [
        ("temperature", ["TS1", "TS2", "TS3", "TS4"], "degC", 1.0),
        ("vibration", ["VS1"], "mm/s", 1.0),
        ("flow", ["FS1", "FS2"], "l/min", 10.0),
    ],
)
def test_values_of_the_rig_are_those_of_its_files(
    blocks: list[Recording], name: str, files: list[str], unit: str, rate: float
) -> None:
    streams = [block.streams[name] for block in blocks]
    read = np.concatenate([stream.read(0, int(stream.segments.count.sum())) for stream in streams])
    plain = np.stack([np.loadtxt(RIG / f"{file}.txt.gz").ravel() for file in files], axis=1)
    np.testing.assert_array_equal(read, plain.astype(np.float32))
    assert {(s.unit, s.rate, s.channels, s.modality) for s in streams} == {(unit, rate, tuple(files), name)}


@needs_rig
def test_labels_of_the_rig_tell_every_cycle(blocks: list[Recording]) -> None:
    profile = np.loadtxt(RIG / "profile.txt", dtype=int)
    index = np.loadtxt(RIG / "cycle_index.txt", dtype=int)
    for column, target in enumerate([*CONDITIONS, "stable"]):
        told = [(t0, t1, label) for block in blocks for t0, t1, label in intervals(block, target)]
        cycles = [(t // (60 * SECOND), label) for t0, t1, label in told for t in range(t0, t1, 60 * SECOND)]
        assert cycles == list(zip(index.tolist(), map(str, profile[:, column]), strict=True))


def intervals(recording: Recording, target: str) -> list[tuple[int, int, str]]:
    track = recording.tracks[target]
    return list(zip(track.t0.tolist(), track.t1.tolist(), track.label, strict=True))


@needs_skab
def test_trials_of_skab_have_their_true_rate_and_no_gap_but_the_real_ones(
    trials: dict[str, tuple[Recording, pd.DataFrame]],
) -> None:
    assert len(trials) == len(list(SKAB.rglob("*.csv")))
    for recording, table in trials.values():
        steps = pd.to_datetime(table["datetime"]).diff().dt.total_seconds()[1:].to_numpy()
        jumps = np.flatnonzero(steps > 2.5) + 1
        within = steps[steps <= 2.5]
        for stream in recording.streams.values():
            begun = stream.segments.offset.tolist()
            # The clock of the long trial without an anomaly drifts by up to 54 s: it is cut where it would.
            drifts = recording.identity["family"] == "anomaly-free"
            assert set(begun) > {0, *jumps} if drifts else begun == [0, *jumps]
            # Of the stamps alone, 1 s would be the likeliest step and 1 Hz the rate.
            assert stream.rate == pytest.approx(1 / within.mean(), rel=0.01)
            assert 0.9 < stream.rate < 0.99


@needs_skab
def test_values_and_identity_of_skab_are_those_of_its_files(
    trials: dict[str, tuple[Recording, pd.DataFrame]],
) -> None:
    columns = {
        "acceleration": ["Accelerometer1RMS", "Accelerometer2RMS"], "temperature": ["Temperature"],
        "thermocouple": ["Thermocouple"], "pressure": ["Pressure"], "flow": ["Volume Flow RateRMS"],
        "current": ["Current"], "voltage": ["Voltage"],
    }  # fmt: skip
    for recording, table in trials.values():
        family, _, name = recording.id.split("::")[0].removesuffix(".h5").partition("/")
        assert recording.identity == {"file": name, "family": family}
        assert recording.start == pd.Timestamp(table["datetime"][0], tz="UTC").value
        assert set(recording.streams) == set(columns)
        for key, names in columns.items():
            read = recording.streams[key].read(0, len(table))
            np.testing.assert_array_equal(read, table[names].to_numpy(np.float32))


@needs_skab
@pytest.mark.parametrize(
    ("target", "classes"), [("anomaly", ("normal", "anomaly")), ("changepoint", ("steady", "change"))]
)
def test_labels_of_skab_are_its_columns(
    trials: dict[str, tuple[Recording, pd.DataFrame]], target: str, classes: tuple[str, str]
) -> None:
    for recording, table in trials.values():
        if target not in table:
            assert recording.identity["family"] == "anomaly-free"
            assert recording.tracks == {}
            continue
        stamps = pd.to_datetime(table["datetime"], utc=True).astype("datetime64[ns, UTC]").astype("int64")
        held = np.full(len(table), "", dtype=object)
        for t0, t1, label in intervals(recording, target):
            held[((stamps >= t0) & (stamps < t1)).to_numpy()] = label
        assert held.tolist() == [classes[int(cell)] for cell in table[target]]
        gaps = (stamps.diff() > 2.5 * SECOND).sum()
        assert len(recording.tracks[target].label) <= (table[target].diff() != 0).sum() + gaps
