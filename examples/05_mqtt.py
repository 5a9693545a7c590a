"""A device on a message bus: samples come by MQTT, verdicts and alarms go out by MQTT.

    pip install 'sensorkd[edge,mqtt]'
    python examples/05_mqtt.py BUNDLE [--host localhost] [--port 1883] [--topic plant/press4] [--state FILE]

Sensors publish lines as `sensorkd stream` takes them to TOPIC/samples; verdicts go to TOPIC/verdicts, and
what the alarm is now, retained, to TOPIC/alarm. Everything at least once (QoS 1): a message is acknowledged
when it was judged, so that a broker sends it again to a device that failed meanwhile. What comes twice is
applied once, for samples are known by their time. With --state a device that was restarted judges no window
twice.
"""

import argparse
import json
import sys
from pathlib import Path

from paho.mqtt.client import CallbackAPIVersion, Client, MQTTMessage
from paho.mqtt.enums import MQTTProtocolVersion

from sensorkd.edge import EdgeBundle, EdgePredictor, Verdict
from sensorkd.edge.lines import LINE_BYTES, judge_message
from sensorkd.edge.serving import StateFile
from sensorkd.errors import SensorkdError


class Device:
    """Judges messages one after the other, in the thread of the client."""

    def __init__(self, bundle: Path, topic: str, state: Path | None = None) -> None:
        self.stream = EdgePredictor(EdgeBundle.open(bundle)).stream(on_problem=tell)
        self.topic = topic
        self._state = None if state is None else StateFile(state, self.stream, tell=tell)
        # The broker keeps the session of this name, and what was not acknowledged in it, while we are away.
        self.client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"sensorkd-{topic.replace('/', '-')}",
            protocol=MQTTProtocolVersion.MQTTv311,
            clean_session=False,
            manual_ack=True,
        )
        self.client.on_connect = lambda *_: self.client.subscribe(f"{topic}/samples", qos=1)
        self.client.on_message = self.take

    def take(self, client: Client, _: object, message: MQTTMessage) -> None:
        """Judge a message; a bad one is told and done with, for it would be no better the next time."""
        try:
            if len(message.payload) > LINE_BYTES:
                raise SensorkdError("a message is too long", found=f"{len(message.payload)} bytes")
            verdicts = judge_message(self.stream, message.payload)
            for verdict in verdicts:
                self.publish(verdict)
            if self._state is not None:
                self._state.keep(now=bool(verdicts))
        except SensorkdError as error:
            tell(error)
        client.ack(message.mid, message.qos)

    def publish(self, verdict: Verdict) -> None:
        """Send a verdict, and the alarm where it changed."""
        told = json.dumps(verdict.to_json())
        self.client.publish(f"{self.topic}/verdicts", told, qos=1)
        if verdict.event is not None:
            self.client.publish(f"{self.topic}/alarm", told, qos=1, retain=True)


def tell(error: object) -> None:
    print(error, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--topic", default="plant/press4")
    parser.add_argument("--state", type=Path)
    options = parser.parse_args()
    device = Device(options.bundle, options.topic, options.state)
    device.client.connect(options.host, options.port)
    device.client.loop_forever(retry_first_connection=True)


if __name__ == "__main__":
    main()
