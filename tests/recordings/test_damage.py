from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from sensorkd.timeline import SECOND

# In a process of its own: a crash or a hang inside HDF5 must not take the tests along.
FLIP_BITS = """
import sys
from pathlib import Path
import numpy as np
from sensorkd.errors import SensorkdError
from sensorkd.recordings import open_recordings

source, copies = Path(sys.argv[1]), Path(sys.argv[2])
copies.mkdir()

def told(path):
    (item,) = open_recordings(path)
    streams = [
        (s.name, s.modality, s.unit, s.scale, s.offset, s.channels, s.dtype.str)
        + tuple(getattr(s.segments, name).tolist() for name in ("t0", "rate", "offset", "count"))
        + (s.read(0, s.source.count).tobytes(),)
        for s in item.streams.values()
    ]
    tracks = [(name, t.t0.tolist(), t.t1.tolist(), t.label) for name, t in item.tracks.items()]
    return item.group, item.clock, dict(item.identity), streams, tracks

content, whole, rng = source.read_bytes(), told(source), np.random.default_rng(0)
refused = intact = 0
for number in range(60):
    damaged = bytearray(content)
    damaged[rng.integers(8, len(content))] ^= 1 << rng.integers(8)
    path = copies / f"{number}.h5"
    path.write_bytes(damaged)
    try:
        assert told(path) == whole, "wrong data without an error"
        intact += 1
    except SensorkdError:
        refused += 1
print(refused, intact)
"""


def test_a_flipped_bit_gives_an_error_or_intact_data_never_wrong_data(
    write_archive: Any, shake: Any, heat: Any, tmp_path: Path
) -> None:
    labels = {"state": [(0, SECOND, "idle"), (SECOND, 9 * SECOND, "l\u00e4uft")]}
    path = write_archive({"acceleration": shake(), "temperature": heat()}, labels=labels)
    command = [sys.executable, "-c", FLIP_BITS, str(path), str(tmp_path / "copies")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    refused, intact = map(int, done.stdout.split())
    assert refused > 0
    assert intact > 0
