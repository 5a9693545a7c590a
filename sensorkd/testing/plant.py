"""A simulated plant: made-up numbers and pictures, written as real `recording-1.0` archives.

Nothing here was measured, and every archive says so (identity `simulated: yes`). A simulated machine is
a motor on a bearing, which drives a pulley by a belt and is cooled by a fan of its own. Three sensors
see it, each on its own clock. None tells all six conditions apart, nor do any two; the three do:

    condition       acceleration        temperature     video
    healthy         shaft harmonics     steady          fan and belt blurred by speed
    bearing_fault   ringing impulses    steady          as healthy
    looseness       half orders         steady          rotor wobbles
    rotor_rub       as looseness        saw-tooth       rotor wobbles
    belt_slip       as healthy          warming up      belt creeps
    fan_stopped     as healthy          warming up      fan stands still

Machines differ in speed, load, resonance, gain and direction of the sensor, ambient temperature,
camera, light and paint: the task is to recognise a condition on a machine never seen before.
Simplifications: belt and fan are too light for the accelerometer; thermal time constants are seconds
instead of minutes, so that ten seconds show a trend; a fault does not grow within a recording.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd.recordings import RecordingWriter
from sensorkd.timeline import SECOND, duration

__all__ = ["CONDITIONS", "Machine", "SimulatedStream", "simulate", "write_plant"]

CONDITIONS = ("healthy", "bearing_fault", "looseness", "rotor_rub", "belt_slip", "fan_stopped")
LOOSE = ("looseness", "rotor_rub")
ACCELERATION_RATE, TEMPERATURE_RATE, VIDEO_RATE = 2000.0, 2.0, 12.0
ACCELERATION_SCALE = 160.0 / 32767  # +-16 g, the range of a common industrial MEMS sensor
FRAME = 64
# A cheap camera: levels come in steps, of which noise is a small part, so that it costs few bytes.
LEVEL_STEP, NOISE = 6, 0.06
# Places on the simulated machine, x + iy in half widths of the picture: x to the right, y upwards.
ROTOR, PULLEY, FAN = -0.45 - 0.2j, 0.55 - 0.5j, 0.3 + 0.38j
ROTOR_RADIUS, PULLEY_RADIUS, FAN_RADIUS = 0.27, 0.17, 0.4

Floats = NDArray[np.floating[Any]]
Places = NDArray[np.complexfloating[Any, Any]]


@dataclass(frozen=True)
class SimulatedStream:
    """Samples of one simulated sensor as a logger would store them: (n, C) or (n, H, W, C).

    Physical value = sample * scale, in `unit`. rate: Hz. t0: time of the first sample, ns.
    """

    samples: NDArray[Any]
    rate: float
    t0: int
    modality: str
    unit: str
    scale: float
    channels: tuple[str, ...]


@dataclass(frozen=True)
class Machine:
    """A simulated machine and its sensors: what stays the same from recording to recording.

    speed: of the shaft, Hz. load: 0 to 1. resonance: of the bearing's seat, Hz.
    bearing_order: rolling elements that pass the damaged place per turn. mounting: (3, 3), from the
    machine's axes to those of its accelerometer, gain included. ambient: degC. blades: of the fan.
    camera: its shift and, as a complex number, its zoom and turn. light: brightness, and its slope
    across the picture. paint: (4, 3) colours of wall, motor, fan and marker, 0 to 1.
    """

    number: int
    speed: float
    load: float
    resonance: float
    bearing_order: float
    mounting: tuple[tuple[float, ...], ...]
    ambient: float
    blades: int
    camera: tuple[complex, complex]
    light: tuple[float, float]
    paint: tuple[tuple[float, ...], ...]

    @classmethod
    def draw(cls, number: int, *, seed: int = 0) -> Machine:
        """The machine of this number in the simulated plant of this seed; always the same one."""
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
        axes, upper = np.linalg.qr(np.eye(3) + rng.normal(0.0, 0.2, (3, 3)))  # turned a little
        # Grey, tinted: wall, motor, fan, and the bright marker on the shaft.
        paint = rng.uniform(((0.3,), (0.2,), (0.15,), (0.8,)), ((0.55,), (0.5,), (0.35,), (0.9,)), (4, 1))
        return cls(
            number=number,
            speed=rng.uniform(17.0, 31.0),
            load=rng.uniform(0.0, 1.0),
            resonance=rng.uniform(380.0, 800.0),
            bearing_order=rng.uniform(2.8, 4.6),
            mounting=tuple(map(tuple, (rng.uniform(0.8, 1.25) * axes * np.sign(np.diag(upper))).tolist())),
            ambient=rng.uniform(19.0, 27.0),
            blades=int(rng.integers(3, 6)),
            camera=(complex(*rng.uniform(-0.07, 0.07, 2)), complex(*rng.normal((1.0, 0.0), (0.05, 0.06)))),
            light=(rng.uniform(0.75, 1.1), rng.uniform(-0.15, 0.15)),
            paint=tuple(map(tuple, (paint + rng.uniform(-0.09, 0.09, (4, 3))).tolist())),
        )


@dataclass(frozen=True)
class _Run:
    """What one sensor looks at: a machine in a condition at the times t (n,), seconds."""

    machine: Machine
    condition: str
    severity: float
    t: Floats
    rng: np.random.Generator


def simulate(
    machine: Machine, condition: str, *, seconds: float, seed: int, session: int = 0
) -> dict[str, SimulatedStream]:
    """One simulated recording: stream by modality. The same arguments give the same numbers.

    Each stream has `round(seconds * rate)` samples. `session` counts recordings of one machine and
    condition; each draws its numbers afresh.

    Raises:
        ValueError: an unknown condition.
    """
    if condition not in CONDITIONS:
        raise ValueError(f"condition {condition!r} must be one of {', '.join(CONDITIONS)}")
    key = (machine.number, CONDITIONS.index(condition), session)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
    severity, streams = rng.uniform(0.75, 1.25), {}
    for make, modality, rate, unit, scale, channels in (
        (_acceleration, "acceleration", ACCELERATION_RATE, "m/s2", ACCELERATION_SCALE, ("x", "y", "z")),
        (_temperature, "temperature", TEMPERATURE_RATE, "degC", 1.0, ("housing",)),
        (_video, "video", VIDEO_RATE, "1", 1 / 255, ("red", "green", "blue")),
    ):
        run = _Run(machine, condition, severity, np.arange(round(seconds * rate)) / rate, rng)
        t0 = int(rng.uniform(0.0, 0.4) * SECOND)  # loggers do not begin together
        streams[modality] = SimulatedStream(make(run), rate, t0, modality, unit, scale, channels)
    return streams


def write_plant(
    folder: str | Path, *, machines: int = 12, seconds: float = 20.0, sessions: int = 1, seed: int = 0
) -> list[Path]:
    """Write a simulated plant: one file a machine; in it, one recording a condition and session.

    Each recording has the identity `machine`, `session` and `simulated: yes`, and a label track
    `condition` over all of it. Returns the files in order of the machines.

    Raises:
        ArchiveError: a file exists already, or `seconds` is too short to hold a sample of each stream.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    paths = [Path(folder) / f"m{number:02d}.h5" for number in range(machines)]
    for number, path in enumerate(paths):
        machine = Machine.draw(number, seed=seed)
        with RecordingWriter(path) as writer:
            for session, condition in ((s, c) for s in range(sessions) for c in CONDITIONS):
                streams = simulate(machine, condition, seconds=seconds, seed=seed, session=session)
                identity = {"machine": path.stem, "session": f"s{session}", "simulated": "yes"}
                draft = writer.recording(f"{condition}_s{session}", clock="relative", identity=identity)
                for name, stream in streams.items():
                    draft.add_stream(name, **vars(stream))
                start = min(stream.t0 for stream in streams.values())
                ends = [stream.t0 + duration(stream.rate, len(stream.samples)) for stream in streams.values()]
                draft.add_labels("condition", [(start, max(ends), condition)])
    return paths


def _acceleration(run: _Run) -> NDArray[Any]:
    """(n, 3), AC-coupled: shaft orders; bearing noise and blows, which ring at the seat's resonance."""
    machine, t, rng = run.machine, run.t, run.rng
    orders, sizes = np.arange(1.0, 4.0), (0.8 + 0.5 * machine.load) / np.arange(1.0, 4.0)
    if run.condition in LOOSE:
        # A part that lifts and lands once in two turns: half orders, slowly falling.
        orders, sizes = np.arange(0.5, 6.1, 0.5), 2.2 * run.severity / np.sqrt(np.arange(0.5, 6.1, 0.5))
    turns = machine.speed * t + 0.02 * np.sin(0.7 * t + rng.uniform(0, 6)) + rng.uniform()
    angle = 2 * np.pi * (np.outer(orders, turns) + rng.uniform(size=(len(orders), 1)))
    sizes = sizes * rng.uniform(0.6, 1.4, len(orders))
    # The vertical follows the horizontal by a quarter of a turn.
    across, up = sizes @ np.cos(angle), sizes @ np.sin(angle)
    force = rng.normal(0.0, 0.45 + 0.25 * machine.load, len(t))
    if run.condition == "bearing_fault":
        # Rolling elements slip by a hundredth; a blow is stronger where the load is, once a turn.
        passes = machine.speed * machine.bearing_order
        blow = np.cumsum(rng.normal(1.0, 0.01, int(len(t) / ACCELERATION_RATE * passes))) / passes
        size = 12.0 * run.severity * (1 + 0.5 * np.cos(2 * np.pi * machine.speed * blow))
        force[(blow * ACCELERATION_RATE).astype(int).clip(0, len(t) - 1)] += size
    after = np.arange(50) / ACCELERATION_RATE
    ring = np.exp(-after / 0.004) * np.sin(2 * np.pi * machine.resonance * after)
    ringing = np.convolve(force, ring)[: len(t)]
    axes = np.stack([across + 0.8 * ringing, 0.8 * up + ringing, 0.3 * across + 0.4 * ringing], axis=1)
    axes = (axes + rng.normal(0.0, 0.25, axes.shape)) @ np.transpose(machine.mounting)
    return np.asarray(np.rint(axes / ACCELERATION_SCALE).clip(-32768, 32767), dtype=np.int16)


def _temperature(run: _Run) -> NDArray[Any]:
    """(n, 1): a body that tends, with its time constant, to where heating and cooling balance."""
    machine, t, rng = run.machine, run.t, run.rng
    body = np.full(len(t), machine.ambient + 14.0 + 5.0 * machine.load + rng.normal(0.0, 0.5))
    goal, time_constant = body.copy(), 20.0
    if run.condition in ("belt_slip", "fan_stopped"):
        # Friction heats, or cooling is missing: the new balance is far above.
        goal += 30.0 * run.severity
    elif run.condition == "rotor_rub":
        # The shaft bows, touches, heats on the spot, wears itself free and touches again (Newkirk).
        goal += 16.0 * run.severity * ((t / rng.uniform(3.5, 5.5) + rng.uniform()) % 1.0 < 0.35)
        time_constant = 2.5
    for step in range(1, len(t)):
        body[step] = body[step - 1] + (goal[step] - body[step - 1]) / (time_constant * TEMPERATURE_RATE)
    draught = 0.4 * np.sin(2 * np.pi * (t / rng.uniform(15.0, 40.0) + rng.uniform()))
    return np.asarray(body + draught + rng.normal(0.0, 0.1, len(t)), dtype=np.float32)[:, None]


def _video(run: _Run) -> NDArray[Any]:
    """(n, 64, 64, 3): what rests, drawn once; what moves, frame by frame; then light and noise."""
    (shift, zoom), (level, slope), rng = run.machine.camera, run.machine.light, run.rng
    wall, motor, fan, _ = np.array(run.machine.paint)
    grid = (np.arange(FRAME) + 0.5) / FRAME * 2 - 1
    # Where on the machine each pixel (4096,) looks; time is the last axis of frames, to paint faster.
    place = (grid[None, :] - 1j * grid[:, None]).ravel() / zoom - shift
    body = np.maximum(np.abs(place.real - ROTOR.real) - 0.4, np.abs(place.imag - ROTOR.imag + 0.08) - 0.42)
    frames = np.full((len(place), 3, 1), wall[:, None], dtype=np.float32)
    for depth, colour in (
        (-0.72 - place.imag, 0.6 * wall),
        (-body, motor),
        (FAN_RADIUS + 0.06 - np.abs(place - FAN), 0.5 * fan),
        (PULLEY_RADIUS - np.abs(place - PULLEY), np.full(3, 0.45)),
    ):
        _paint(frames, np.arange(len(place)), _edge(depth)[:, None], colour)
    frames = np.repeat(frames, len(run.t), axis=2)
    for draw in (_draw_belt, _draw_fan, _draw_rotor):
        draw(frames, place, run)
    flicker = 1 + 0.01 * np.sin(2 * np.pi * (0.9 * run.t + rng.uniform()))
    light = np.outer(255 / LEVEL_STEP * level * (1 + slope * place.real), flicker)
    frames *= light.astype(np.float32)[:, None]
    # Pixels differ by up to a level for good, and flicker by much less.
    frames += rng.random((*frames.shape[:2], 1), dtype=np.float32)
    frames += NOISE * rng.random((len(place), 1, len(run.t)), dtype=np.float32)
    levels = np.clip(frames, 0, 255 // LEVEL_STEP, out=frames).astype(np.uint8) * np.uint8(LEVEL_STEP)
    return np.ascontiguousarray(levels.transpose(2, 0, 1)).reshape(-1, FRAME, FRAME, 3)


def _draw_belt(frames: Floats, place: Places, run: _Run) -> None:
    """Two strands whose teeth are a blur at speed, and crawl in jerks when the belt slips."""
    length = abs(PULLEY - ROTOR)
    # Real part: 0 at the rotor, 1 at the pulley; imaginary part: to which side.
    along = (place - ROTOR) / (PULLEY - ROTOR)
    strand = 0.05 - np.abs(length * np.abs(along.imag) - 0.24 + 0.07 * along.real)
    pixels = np.flatnonzero((strand > -0.05) & (np.abs(along.real - 0.5) < 0.5))
    cover, along = _edge(strand[pixels, None]), along[pixels, None]
    crawl = np.cumsum(run.rng.uniform(0.0, 0.06, len(run.t))) * np.sign(along.imag)
    teeth = np.sin(2 * np.pi / 0.22 * (length * along.real + crawl))
    _paint(frames, pixels, cover, np.full(3, 0.1))
    contrast = 0.5 if run.condition == "belt_slip" else 0.02
    _paint(frames, pixels, cover * (0.5 + contrast * teeth), np.full(3, 0.6))


def _draw_fan(frames: Floats, place: Places, run: _Run) -> None:
    """A disc of smeared blades, or blades at rest."""
    fan, standing = np.array(run.machine.paint[2]), run.condition == "fan_stopped"
    pixels = np.flatnonzero(np.abs(place - FAN) < FAN_RADIUS + 0.05)
    arm = place[pixels, None] - FAN
    turned = 0.0 if standing else 6.7 * run.machine.speed * run.t
    wave = np.sin(run.machine.blades * (np.angle(arm) - turned) + run.rng.uniform(0, 6))
    blades = np.clip(0.5 + (2.0 if standing else 0.06) * wave, 0.0, 1.0)
    _paint(frames, pixels, blades * _edge(FAN_RADIUS - np.abs(arm)), fan + 0.4)
    _paint(frames, pixels, _edge(0.09 - np.abs(arm)), 0.4 * fan)


def _draw_rotor(frames: Floats, place: Places, run: _Run) -> None:
    """The shaft's disc, which wobbles when loose; the exposure smears its marker over part of a turn."""
    _, motor, _, marker = np.array(run.machine.paint)
    wobble = 0.09 * run.severity if run.condition in LOOSE else 0.0
    pixels = np.flatnonzero(np.abs(place - ROTOR) < ROTOR_RADIUS + 3.5 * wobble + 0.05)
    sway = wobble * (run.rng.normal(size=len(run.t)) + 1j * run.rng.normal(size=len(run.t)))
    arm = place[pixels, None] - ROTOR - sway
    turned, radius = 2 * np.pi * (run.machine.speed * run.t + run.rng.uniform()), np.abs(arm)
    smear = np.clip(0.25 + 0.75 * np.cos(np.angle(arm) - turned), 0.0, 1.0)
    _paint(frames, pixels, _edge(ROTOR_RADIUS - radius), 0.5 * motor + 0.35)
    _paint(frames, pixels, smear * _edge(0.06 - np.abs(radius - 0.17)), marker)
    _paint(frames, pixels, _edge(0.06 - radius), 0.3 * motor)


def _paint(frames: Floats, pixels: NDArray[np.int64], cover: Floats, colour: Floats) -> None:
    """Blend a colour (3,) into pixels of frames (4096, 3, n); cover: (pixels, n or 1), 0 to 1."""
    share, under = cover.astype(np.float32)[:, None], frames[pixels]
    frames[pixels] = under + share * (colour.astype(np.float32)[:, None] - under)


def _edge(depth: Floats) -> Floats:
    """How much of a pixel lies inside, by its depth below the edge: 0 to 1 over a pixel and a half."""
    return np.asarray(np.clip(0.5 + depth * (FRAME / 3), 0.0, 1.0))
