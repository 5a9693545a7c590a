"""JSON lines in, verdicts out; a bad line is named and the stream goes on."""

from __future__ import annotations

import base64
import errno
import io
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from sensorkd.alarms import AlarmRule
from sensorkd.edge import EdgeBundle, EdgePredictor
from sensorkd.edge import __main__ as command
from sensorkd.edge.lines import judge_lines, judge_message
from sensorkd.edge.serving import StateFile
from sensorkd.edge.stopping import StoppableLines
from sensorkd.errors import BundleError
from sensorkd.timeline import SECOND

GOOD = {"stream": "heat", "time": 0, "samples": [[400], [401], [402], [403]]}


@pytest.fixture
def stream(bundle_folder, redescribe):
    redescribe(alarm=AlarmRule(("calm",), 0.5).to_json())
    return EdgePredictor(EdgeBundle.open(bundle_folder)).stream()


def taken(stream, message):
    judge_message(stream, json.dumps(message).encode())
    chain = stream._windower.sensors[message["stream"]].ring.chain_before(10**19)
    return chain.t0, chain.read(0, chain.count)


def test_numbers_base64_and_physical_values_are_the_same_samples(stream):
    whole = {**GOOD, "samples": [[400], [-401], [402], [403]]}
    content = base64.b64encode(np.array([400, -401, 402, 403], "<i2").tobytes()).decode()
    for message in (
        whole,
        {**whole, "samples": {"base64": content, "dtype": "int16", "shape": [4, 1]}},
        {**whole, "samples": [[40.0], [-40.1], [40.2], [40.3]], "physical": True},
        {**whole, "samples": [400, -401, 402, 403]},
    ):
        judge_message(stream, b'{"end": true}')
        time, samples = taken(stream, message)
        assert (time, samples[:, 0].tolist(), samples.dtype) == (0, [400, -401, 402, 403], np.int16)


@pytest.mark.parametrize(
    ("time", "ns"),
    [
        (1_700_000_000_123_456_789, 1_700_000_000_123_456_789),
        ("2023-11-14T22:13:20.123456789Z", 1_700_000_000_123_456_789),
        ("2023-11-14T23:13:20.5+01:00", 1_700_000_000_500_000_000),
        ("2023-11-14T22:13:20,25Z", 1_700_000_000_250_000_000),
        ("1969-12-31T23:59:59.75Z", -250_000_000),
    ],
)
def test_times_are_exact(stream, time, ns):
    assert taken(stream, {**GOOD, "time": time})[0] == ns


def test_a_time_for_each_sample(stream):
    assert taken(stream, {**GOOD, "time": [300_000_000, 0, 200_000_000, 100_000_000]})[1][:, 0].tolist() == [
        401,
        403,
        402,
        400,
    ]


def test_null_is_what_was_not_measured(stream):
    message = {"stream": "shake", "time": 0, "samples": [[0.5, None], [1.0, 2.0]]}
    assert np.isnan(taken(stream, message)[1][0, 1])


def packed(content: str, dtype: str, shape: list[int]) -> bytes:
    return json.dumps({**GOOD, "samples": {"base64": content, "dtype": dtype, "shape": shape}}).encode()


BAD = {
    b"": None,
    b"{": "not JSON",
    b"\xff{}": "not JSON",
    b"[" * 100_000: "not JSON",
    b"[1]": "not an object",
    b"{}": "not an object",
    b'{"steam": "heat", "time": 0}': "did you mean 'stream'",
    b'{"stream": "heet", "time": 0, "samples": []}': "did you mean 'heat'",
    b'{"stream": ["heat"], "time": 0, "samples": []}': "no such input",
    b'{"stream": "heat", "time": 0}': "no array",
    b'{"stream": "heat", "time": 0, "samples": [[1], [2, 3]]}': "no array",
    b'{"stream": "heat", "time": 0, "samples": [["1"]]}': "int16",
    b'{"stream": "heat", "time": 0, "samples": [[1.5]]}': "int16",
    b'{"stream": "heat", "time": 0, "samples": [[true]]}': "int16",
    b'{"stream": "heat", "time": 0, "samples": [[40000]]}': "int16",
    b'{"stream": "heat", "time": 0, "samples": [[99999999999999999999999]]}': "int16",
    b'{"stream": "heat", "time": 0, "samples": [[1, 2]]}': "(n, 1)",
    b'{"stream": "heat", "time": 1.5, "samples": [[1]]}': "no time",
    b'{"stream": "heat", "time": true, "samples": [[1]]}': "no time",
    b'{"stream": "heat", "samples": [[1]]}': "no time",
    b'{"stream": "heat", "time": "2024-03-01T06:00:00", "samples": [[1]]}': "offset from UTC",
    b'{"stream": "heat", "time": [1, 2], "samples": [[1]]}': "nanoseconds",
    b'{"stream": "heat", "time": 9999999999999999999, "samples": [[1]]}': "no time",
    b'{"stream": "heat", "time": 8999999999999999999, "samples": [[1]]}': "no time",
    b'{"stream": "heat", "time": 3999999999999999999, "samples": [[1]]}': "cannot be used",
    b'{"stream": "heat", "time": ["9999-01-01T00:00:00Z"], "samples": [[1]]}': "no time",
    b'{"time": "9999-01-01T00:00:00Z"}': "no time",
    b'{"time": -8999999999999999999}': "no time",
    packed("AAA=", "(1,i4", [1, 1]): "dtype",
    packed("AAA", "int16", [1, 1]): "base64",
    packed("AAA=", "int16", [9, 1]): "2 bytes",
    packed("AAA=", "O", [1, 1]): "base64",
    packed("AAA=", "int16", [-1, 1]): "base64",
    packed("", "int16", [0, 99999999999999]): "heat",
    packed("AAAA", "uint8", [3, 1]): "int16",
    b'{"begin": 4}': "no name of a recording",
    b'{"begin": "' + b"b" * 300 + b'"}': "at most 200 letters",
    b'{"begin": "b", "stream": "heat", "time": 0, "samples": [[1]]}': "`begin` stands alone",
    b'{"end": false}': "`end` is true or not there",
    b'{"end": true, "time": 0}': "`end` stands alone",
    b'{"time": 0, "samples": [[1]]}': "samples of no stream",
    b'{"samples": [[1]]}': "samples of no stream",
    b'{"time": [1]}': "one time",
    b"x" * 5000: "too long",
}


@pytest.mark.parametrize("bad", BAD, ids=range(len(BAD)))
def test_a_bad_line_is_named_and_the_stream_goes_on(stream, bad):
    good = json.dumps(GOOD).encode()
    later = json.dumps({**GOOD, "time": 2 * SECOND}).encode()
    told, out = [], io.StringIO()
    limit = 200_000 if bad.startswith(b"[[") else 1000
    lines = io.BytesIO(good + b"\n" + bad + b"\n" + later)
    count = judge_lines(stream, lines, out, on_bad=told.append, limit=limit)
    assert [json.loads(line)["time"] for line in out.getvalue().splitlines()] == [400_000_000, 2_400_000_000]
    assert count == len(told) == (BAD[bad] is not None)
    if BAD[bad] is not None:
        assert told[0].startswith("line 2: ")
        assert BAD[bad] in told[0]
        assert len(told[0]) < 1000


def test_a_line_too_long_at_the_end_is_told_too(stream):
    told = []
    assert judge_lines(stream, io.BytesIO(b"x" * 5000), io.StringIO(), on_bad=told.append, limit=100) == 1
    assert told[0].startswith("line 1: too long")


def test_a_message_is_refused_whole(stream):
    with pytest.raises(BundleError):
        judge_message(stream, b'{"stream": "heat", "time": 0, "samples": [[1], [2, 3]]}')
    assert stream.held_bytes == 0


def test_a_device_judges_lines(bundle_folder, redescribe, tmp_path):
    redescribe(alarm=AlarmRule(("calm",), 0.01).to_json())
    lines = [{**GOOD, "time": start * 400_000_000} for start in (0, 1, 1, 2)]
    content = "".join(json.dumps(line) + "\n" for line in [*lines, {"begin": "b"}, GOOD]) + "nonsense\n"
    state = tmp_path / "state.json"
    result = subprocess.run(
        [sys.executable, "-m", "sensorkd.edge", "stream", str(bundle_folder), "--state", str(state)],
        input=content,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "line 7: not JSON" in result.stderr
    assert "heat: 16 accepted, 4 duplicate" in result.stderr
    assert "Traceback" not in result.stderr
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(row["recording"], row["time"] // 1_000_000) for row in rows] == [
        ("", 400),
        ("", 800),
        ("", 1200),
        ("b", 400),
    ]
    assert rows[0]["event"] == "raised"
    assert rows[0]["missing"] == {"shake": "silent"}
    kept = json.loads(state.read_text())
    assert (kept["recording"], kept["alarm"]["active"]) == ("b", True)


def test_lines_that_ended_are_gone_on_with_behind_the_last_verdict(
    bundle_folder, tmp_path, capsys, monkeypatch
):
    def times(*starts):
        lines = "".join(json.dumps({**GOOD, "time": start * 100_000_000}) + "\n" for start in starts)
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
        assert command.main(["stream", str(bundle_folder), "--state", str(tmp_path / "state.json")]) == 0
        return [json.loads(line)["time"] // 100_000_000 for line in capsys.readouterr().out.splitlines()]

    assert times(0, 4) == [4, 8]
    # What is sent again is not judged again, and the grid is that of the first line.
    assert times(4, 9, 13) == [16]
    assert [path.name for path in tmp_path.glob("*.part")] == []


def test_a_state_that_cannot_be_written_is_told_before_the_first_line(bundle_folder, tmp_path, capsys):
    path = tmp_path / "nowhere" / "state.json"
    assert command.main(["stream", str(bundle_folder), "--state", str(path)]) == 2
    assert "folder that is there" in capsys.readouterr().err


def test_a_disk_that_is_full_costs_no_verdict(stream, tmp_path, monkeypatch):
    told, path = [], tmp_path / "state.json"
    kept = StateFile(path, stream, tell=told.append)
    before = path.read_text()

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("sensorkd.edge.serving.write_whole", full)
        for start in (0, 1):
            judge_message(stream, json.dumps({**GOOD, "time": start * 400_000_000}).encode())
            kept.keep(now=True)
        # Restarted by its keeper, it judges all the same.
        StateFile(path, stream, tell=told.append)
    assert len(told) == 2
    assert "No space left" in told[0] and "judging goes on" in told[0]
    assert path.read_text() == before
    kept.keep(now=True)
    assert "written again" in told[2]
    assert json.loads(path.read_text())["clock"] == stream.state()["clock"]


@pytest.mark.parametrize("content", ["", "[]", "{}", "\x00"])
def test_a_state_file_that_is_none_is_refused(bundle_folder, tmp_path, capsys, content):
    path = tmp_path / "state.json"
    path.write_text(content)
    assert command.main(["stream", str(bundle_folder), "--state", str(path)]) == 2
    assert "begins anew" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["shake", "shake=fast", "shape=3"])
def test_an_option_that_makes_no_sense_is_told(bundle_folder, capsys, option):
    assert command.main(["stream", str(bundle_folder), "--rate", option]) == 2
    assert "shake" in capsys.readouterr().err


def test_windows_of_a_file_get_alarms_recording_by_recording(
    bundle_folder, redescribe, make_samples, tmp_path
):
    redescribe(alarm=AlarmRule(("calm",), 1e-9, clear_count=9).to_json())
    windows, out = make_samples(4), tmp_path / "out.jsonl"
    presence = np.array([[0, 0], [1, 1], [1, 1], [0, 0]])
    arrays = {f"input.{name}": values for name, values in windows.items()}
    np.savez(
        tmp_path / "w.npz",
        presence=presence,
        t_ref=np.array([9, 3, 5, 1]),
        recording=np.array(["a", "a", "b", "b"]),
        **arrays,
    )
    assert command.main(["predict", str(bundle_folder), str(tmp_path / "w.npz"), "--out", str(out)]) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    # A window without any sensor raises none, but it does not clear the one of the window before it either.
    assert [row["alarm"] for row in rows] == [True, True, True, False]


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_a_device_that_is_told_to_stop_judges_what_is_left_and_remembers_where_it_was(
    bundle_folder, tmp_path, told, heard
):
    """`heard`: what is handled here is handled there, even where SIGINT is ignored, as in the background."""
    state = tmp_path / "state.json"
    command = [sys.executable, "-m", "sensorkd.edge", "stream", str(bundle_folder), "--state", str(state)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as device:
        assert device.stdin is not None and device.stdout is not None
        for start in (0, 1, 2, 3):
            device.stdin.write(json.dumps({**GOOD, "time": start * 400_000_000}) + "\n")
        device.stdin.flush()
        first = json.loads(device.stdout.readline())
        device.send_signal(told)  # its input stays open
        rest, told_last = device.communicate(timeout=60)
    assert device.returncode == 0
    assert "heat: 16 accepted" in told_last
    assert "Traceback" not in told_last
    times = [first["time"], *(json.loads(line)["time"] for line in rest.splitlines())]
    assert [time // 1_000_000 for time in times] == [400, 800, 1200, 1600]
    assert json.loads(state.read_text())["clock"] == 1_500_000_000


@pytest.fixture
def heard():
    """Signals that reach whoever was there before."""
    found = []
    before = {
        number: signal.signal(number, lambda told, _: found.append(told))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    yield found
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_line_that_was_begun_is_judged_to_its_end(heard):
    there = signal.getsignal(signal.SIGTERM)
    with StoppableLines(io.BytesIO(b"one\ntwo\nthree\n")) as lines:
        assert lines.readline() == b"one\n"
        signal.raise_signal(signal.SIGTERM)  # while the line is judged
        assert lines.readline() == b""
    assert signal.getsignal(signal.SIGTERM) == there
    assert heard == []


def test_a_second_signal_does_what_it_did_before(heard):
    with StoppableLines(io.BytesIO()):
        signal.raise_signal(signal.SIGINT)
        assert heard == []
        signal.raise_signal(signal.SIGINT)
    assert heard == [signal.SIGINT]


def test_a_signal_that_is_ignored_ends_nothing(heard):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with StoppableLines(io.BytesIO(b"one\ntwo\n")) as lines:
        lines.readline()
        signal.raise_signal(signal.SIGINT)
        assert lines.readline() == b"two\n"


def test_in_another_thread_signals_are_left_alone():
    before = signal.getsignal(signal.SIGTERM)

    def read():
        with StoppableLines(io.BytesIO(b"one\n")) as lines:
            return lines.readline(), signal.getsignal(signal.SIGTERM)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(read).result() == (b"one\n", before)
