"""Writes the files that tests compare with, and the schemas that are generated from typed models.

    python tests/golden/make.py schemas     layout-, bundle- and import-1.0.json, from the models
    python tests/golden/make.py archive     recording-1.0.h5 and ids.json: once, when recording-1.0 begins

An archive of a released version of the format stays as it is, for it must open for ever.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, TypeAdapter
from sensorkd_adapters.importers.csv_mapping import CsvMapping
from sensorkd_adapters.importers.cycles_mapping import CyclesMapping
from sensorkd_adapters.importers.video_mapping import GoproMapping, VideoMapping

from sensorkd.edge.bundle import BundleDescription
from sensorkd.encoding import InputEncoding
from sensorkd.recordings import Layout, RecordingWriter, Segments, open_recordings
from sensorkd.timeline import SECOND
from sensorkd.windows.encode import InputRequest, fix_encodings
from sensorkd.windows.plan import WindowPlan, plan_windows

HERE = Path(__file__).parent
ARCHIVE, IDS = HERE / "recording-1.0.h5", HERE / "ids.json"
SCHEMAS = HERE.parents[1] / "data_schemas"
# 2024-03-01T06:00:00Z
MORNING = 1_709_272_800 * SECOND
REQUESTS = {"acceleration": InputRequest(span=SECOND), "temperature": InputRequest(span=4 * SECOND)}


def acceleration() -> np.ndarray:
    """Samples whose values tell their index."""
    index = np.arange(600)
    return np.stack([index, -index, index % 7], axis=1).astype(np.int16)


def temperature() -> np.ndarray:
    """A slow rise with one reading missing."""
    samples = (20.0 + np.arange(16) / 8).astype(np.float32)[:, None]
    samples[5] = np.nan
    return samples


def video() -> np.ndarray:
    """Frames whose pixels tell their place."""
    return np.arange(10 * 4 * 5 * 1, dtype=np.uint8).reshape(10, 4, 5, 1)


def gaps() -> Segments:
    """Acceleration stops for a second after three."""
    t0 = np.array([MORNING + 250_000_000, MORNING + 4_250_000_000])
    return Segments(t0, np.array([100.0, 100.0]), np.array([0, 300]), np.array([300, 300]))


def write_archive(path: Path) -> None:
    """A small archive with every part of the format."""
    with RecordingWriter(path) as writer:
        shift = writer.recording("shift", clock="utc", identity={"machine": "press 4", "line": 2})
        shift.add_stream(
            "acceleration", acceleration(), rate=100.0, modality="acceleration", unit="g", scale=0.0005,
            channels=("x", "y", "z"), segments=gaps(),
        )  # fmt: skip
        shift.add_stream(
            "temperature", temperature(), rate=2.0, modality="temperature", unit="degC", t0=MORNING
        )
        states = [
            (MORNING, MORNING + 3 * SECOND, "idle"),
            (MORNING + 3 * SECOND, MORNING + 8 * SECOND, "läuft"),
        ]
        shift.add_labels("state", states)
        trial = writer.recording("trial", clock="relative", identity={"machine": "press 5"})
        trial.add_stream("video", video(), rate=12.5, modality="video", unit="1", scale=1 / 255, offset=0.0)


def plan() -> WindowPlan:
    """Windows of the golden archive."""
    recordings = open_recordings(ARCHIVE)
    encodings: dict[str, InputEncoding] = fix_encodings(recordings, REQUESTS)
    return plan_windows(recordings, encodings, hop=SECOND)


def schemas() -> dict[str, dict[str, Any]]:
    """The schemas that are generated, by file name."""
    return {
        "layout-1.0.json": Layout.model_json_schema(by_alias=True),
        "bundle-1.0.json": TypeAdapter(BundleDescription).json_schema(),
        "import-1.0.json": TypeAdapter(
            Annotated[
                CsvMapping | CyclesMapping | VideoMapping | GoproMapping, Field(discriminator="importer")
            ]
        ).json_schema(by_alias=True),
    }


def write_schemas(folder: Path = SCHEMAS) -> None:
    """Generate the schemas anew."""
    for name, tree in schemas().items():
        text = json.dumps(tree, indent=1, sort_keys=True, ensure_ascii=False)
        (folder / name).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] == ["schemas"]:
        write_schemas()
    elif sys.argv[1:] == ["archive"]:
        write_archive(ARCHIVE)  # refuses to overwrite
        made = plan()
        ids = {str(t_ref): f"{int(i):016x}" for t_ref, i in zip(made.t_ref, made.id, strict=True)}
        IDS.write_text(json.dumps(ids, indent=1) + "\n", encoding="utf-8")
    else:
        sys.exit(__doc__)
