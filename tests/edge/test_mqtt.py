"""The MQTT example against a real broker: what a network sends twice is applied once, through a restart."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sensorkd.edge import EdgeBundle, EdgePredictor
from sensorkd.edge.lines import judge_message

mqtt = pytest.importorskip("paho.mqtt.client", reason="pip install paho-mqtt")
BROKER = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
pytestmark = pytest.mark.skipif(BROKER is None, reason="no mosquitto; on Debian: apt-get install mosquitto")
EXAMPLE = Path(__file__).parents[2] / "examples" / "05_mqtt.py"
TOPIC, PATIENCE = "plant/p4", 60.0


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    process = subprocess.Popen([str(BROKER), "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(10)


class Plant:
    """What stands round the device: it sends samples, hears verdicts, and starts and kills the device."""

    def __init__(self, bundle: Path, port: int, state: Path) -> None:
        self.verdicts: list[dict[str, Any]] = []
        self._command = [sys.executable, str(EXAMPLE), str(bundle), "--port", str(port)]
        self._command += ["--topic", TOPIC, "--state", str(state)]
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self._client.on_message = lambda *told: self.verdicts.append(json.loads(told[2].payload))
        until(lambda: self._connected(port))
        self._client.subscribe(f"{TOPIC}/verdicts", qos=1)
        self._client.loop_start()
        self._device: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._device = subprocess.Popen(self._command)

    def kill(self) -> None:
        if self._device is not None:
            self._device.kill()
            self._device.wait(10)

    def send(self, message: dict[str, Any]) -> None:
        self._client.publish(f"{TOPIC}/samples", json.dumps(message), qos=1).wait_for_publish(PATIENCE)

    def close(self) -> None:
        self.kill()
        self._client.loop_stop()
        self._client.disconnect()

    def _connected(self, port: int) -> bool:
        try:
            self._client.connect("127.0.0.1", port)
        except ConnectionRefusedError:
            return False
        return True


def until(true: Callable[[], object]) -> None:
    late = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < late
        time.sleep(0.02)


@pytest.fixture
def plant(broker: int, bundle_folder: Path, tmp_path: Path) -> Iterator[Plant]:
    plant = Plant(bundle_folder, broker, tmp_path / "state.json")
    try:
        yield plant
    finally:
        plant.close()


def messages_of(windows: dict[str, Any]) -> list[dict[str, Any]]:
    """Two sensors that send a window's length at once."""
    return [
        {"stream": name, "time": row * 400_000_000, "samples": windows[name][row].tolist()}
        for row in range(len(windows["heat"]))
        for name in ("shake", "heat")
    ]


def test_every_message_twice_and_a_device_that_is_killed(
    plant: Plant, bundle_folder: Path, make_samples: Callable[..., dict[str, Any]]
) -> None:
    messages = messages_of(make_samples(60))
    before, away = messages[:80], messages[80:]
    stream = EdgePredictor(EdgeBundle.open(bundle_folder)).stream()
    wanted = {v.t_ref: v.verdict for m in messages for v in judge_message(stream, json.dumps(m).encode())}
    plant.start()

    def device_listens() -> bool:
        # A broker keeps for a device what comes after its first subscription. `begin` makes it forget this.
        for message in ({"begin": "probe"}, messages[1], {"begin": ""}):
            plant.send(message)
        return bool(plant.verdicts)

    until(device_listens)
    for message in before:
        plant.send(message)
        plant.send(message)
    seen = [time for time in wanted if time <= 40 * 400_000_000]
    until(lambda: len(told(plant)) >= len(seen))
    plant.kill()
    # What comes while it is away waits for it, and what it had before comes again.
    for message in [*before[-6:], *away]:
        plant.send(message)
    plant.start()
    until(lambda: max(time for time, _ in told(plant)) >= max(wanted))
    times = [time for time, _ in told(plant)]
    assert len(times) == len(set(times)), "a window was judged twice"
    assert dict(told(plant)) == wanted


def told(plant: Plant) -> list[tuple[int, str]]:
    return [(row["time"], row["verdict"]) for row in plant.verdicts if row["recording"] == ""]
