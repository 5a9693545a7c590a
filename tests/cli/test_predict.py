"""`sensorkd predict` on a machine whose thermometer dies half way."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sensorkd.cli.__main__ import main
from sensorkd.recordings import open_recordings
from sensorkd.timeline import SECOND
from tests.press_run import write_press

CUT, SPAN = 30.0, 4.0


@pytest.fixture
def life(tmp_path: Path) -> Path:
    return write_press(tmp_path, "p9", seed=9, heat_until=CUT)


def test_verdicts_go_on_to_the_end_and_say_what_is_missing(
    press_bundle: Path, life: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(press_bundle), str(life), "--json"]) == 0
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["predictions"]
    assert [row["time"] for row in rows] == pytest.approx([0.64 + second for second in range(60)])
    assert {row["verdict"] for row in rows} <= {"ok", "worn", "hot"}
    assert all(0 < row["probability"] <= 1 for row in rows)
    # Four seconds of temperature are wanted, and four fifths of them will do: not at the very beginning.
    missing = {row["time"]: row["missing"] for row in rows}
    assert missing == {time: "heat" if time < 0.8 * SPAN or time > CUT else "" for time in missing}
    assert [time for time, what in missing.items() if not what][-1] == pytest.approx(CUT - 0.36)


def test_what_the_other_sensor_shows_is_still_found(
    press_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Worn from 40 s on: it shakes, and no thermometer is needed to tell."""
    shift = (("ok", 0, 40), ("worn", 40, 60))
    path = write_press(tmp_path, "p9", seed=9, heat_until=CUT, shift=shift)
    out = tmp_path / "verdicts.csv"
    assert main(["predict", str(press_bundle), str(path), "--out", str(out)]) == 0
    assert f"wrote {out}: 60 windows; " in capsys.readouterr().out
    table = pd.read_csv(out, keep_default_na=False)
    late = table[table["time"] > 41]
    assert set(late["missing"]) == {"heat"}
    # The bundle answers for a plant where little is worn, and may miss a window or two.
    assert late["p.worn"].mean() > 5 * table[(table["time"] > 33) & (table["time"] < 40)]["p.worn"].mean()


def test_streamed_as_lines_the_same_verdicts_and_alarms_come_out(
    press_bundle: Path, life: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["predict", str(press_bundle), str(life), "--json"]) == 0
    wanted: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["predictions"]
    (recording,) = open_recordings([life])
    lines = []
    for half in range(120):
        for name, many in (("shake", 50), ("heat", 1)):
            samples = recording.streams[name].read(half * many, (half + 1) * many).tolist()
            if samples:
                lines.append(json.dumps({"stream": name, "time": half * SECOND // 2, "samples": samples}))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("\n".join(lines).encode())))
    assert main(["stream", str(press_bundle)]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["time"] / SECOND for row in found] == pytest.approx([row["time"] for row in wanted])
    for name in ("verdict", "alarm"):
        assert [row[name] for row in found] == [row[name] for row in wanted]
    assert ["+".join(row["missing"]) for row in found] == [row["missing"] for row in wanted]
    assert [row["p.worn"] for row in found] == pytest.approx([row["p.worn"] for row in wanted], abs=1e-5)
