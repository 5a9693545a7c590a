"""A simulated plant: made-up numbers and pictures, written as real `recording-1.0` archives.

Nothing here was measured, and every archive says so (identity `simulated: yes`). A simulated machine is
a motor on a bearing, which drives a pulley by a belt and is cooled by a fan of its own. Three sensors
see it, each on its own clock. None tells all six conditions apart, nor do any two; the three do:

    condition       acceleration        temperature     video
    healthy         shaft harmonics     steady          fan and belt blurred by speed
    bearing_fault   ringing impulses    steady          as healthy
    looseness       half orders         steady          rotor wobbles
    rotor_rub       as looseness        saw-tooth       rotor wobbles
    belt_slip       as healthy          warming up      belt creeps, smoke at its pulley
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
ACCELERATION_RATE, TEMPERATURE_RATE, VIDEO_RATE = 2000.0, 2.0, 12.0
# +-16 g, the range of a common industrial MEMS sensor.
ACCELERATION_SCALE = 160.0 / 32767
FRAME = 64
# Levels are rounded to this step, as a cheap camera's are, so that most pixel noise costs no bytes.
LEVEL_STEP = 6
# Places on the simulated machine, in half widths of the picture: x to the right, y upwards.
ROTOR, PULLEY, FAN = (-0.45, -0.2), (0.55, -0.5), (0.3, 0.38)
ROTOR_RADIUS, PULLEY_RADIUS, FAN_RADIUS = 0.27, 0.17, 0.4

Floats = NDArray[np.floating[Any]]


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

    @property
    def end(self) -> int:
        """One period after the last sample, ns."""
        return self.t0 + duration(self.rate, len(self.samples))


@dataclass(frozen=True)
class Machine:
    """A simulated machine and its sensors: what stays the same from recording to recording.

    speed: of the shaft, Hz. load: 0 to 1. resonance, damping: of the bearing's seat, Hz and 1/s.
    bearing_order: rolling elements that pass the damaged place per turn. gain, mounting: of the
    accelerometer, a factor and a (3, 3) rotation. ambient: degC. blades: of the fan. camera: zoom, turn
    in radians, shift across and up. light: brightness, and its slope across the picture. paint: (4, 3)
    colours of wall, motor, fan and marker, 0 to 1.
    """

    number: int
    speed: float
    load: float
    resonance: float
    damping: float
    bearing_order: float
    gain: float
    mounting: tuple[tuple[float, ...], ...]
    ambient: float
    blades: int
    camera: tuple[float, float, float, float]
    light: tuple[float, float]
    paint: tuple[tuple[float, ...], ...]

    @classmethod
    def draw(cls, number: int, *, seed: int = 0) -> Machine:
        """The machine of this number in the simulated plant of this seed; always the same one."""
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
        paint = rng.uniform(((0.25,), (0.15,), (0.1,), (0.7,)), ((0.6,), (0.65,), (0.4,), (1.0,)), (4, 3))
        return cls(
            number=number,
            speed=rng.uniform(17.0, 31.0),
            load=rng.uniform(0.0, 1.0),
            resonance=rng.uniform(380.0, 800.0),
            damping=rng.uniform(150.0, 350.0),
            bearing_order=rng.uniform(2.8, 4.6),
            gain=rng.uniform(0.7, 1.4),
            mounting=_rotation(rng.normal(size=3), rng.normal(0.0, 0.35)),
            ambient=rng.uniform(17.0, 29.0),
            blades=int(rng.integers(3, 6)),
            camera=(rng.uniform(0.88, 1.12), rng.normal(0.0, 0.09), *rng.uniform(-0.1, 0.1, 2)),
            light=(rng.uniform(0.65, 1.15), rng.uniform(-0.2, 0.2)),
            paint=tuple(tuple(colour) for colour in paint.tolist()),
        )

    @property
    def name(self) -> str:
        """Identity in archives, such as m03."""
        return f"m{self.number:02d}"


def simulate(
    machine: Machine, condition: str, *, seconds: float, seed: int, session: int = 0
) -> dict[str, SimulatedStream]:
    """One simulated recording: stream by modality. The same arguments give the same numbers.

    Args:
        seconds: length; each stream has `round(seconds * rate)` samples.
        session: counts recordings of one machine and condition; each draws its numbers afresh.

    Raises:
        ValueError: an unknown condition, or a length without a single sample of temperature.
    """
    if condition not in CONDITIONS:
        raise ValueError(f"condition {condition!r} must be one of {', '.join(CONDITIONS)}")
    if round(seconds * TEMPERATURE_RATE) < 1:
        raise ValueError(f"seconds {seconds} must hold a sample of temperature: 0.5 or more")
    key = (machine.number, CONDITIONS.index(condition), session)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
    severity = rng.uniform(0.75, 1.25)
    sensors = (
        (_acceleration, "acceleration", ACCELERATION_RATE, "m/s2", ACCELERATION_SCALE, ("x", "y", "z")),
        (_temperature, "temperature", TEMPERATURE_RATE, "degC", 1.0, ("housing",)),
        (_video, "video", VIDEO_RATE, "1", 1 / 255, ("red", "green", "blue")),
    )
    streams = {}
    for make, modality, rate, unit, scale, channels in sensors:
        samples = make(machine, condition, severity, np.arange(round(seconds * rate)) / rate, rng)
        # Loggers begin within half a second of each other.
        t0 = int(rng.uniform(0.0, min(0.5, 2 / rate)) * SECOND)
        streams[modality] = SimulatedStream(samples, rate, t0, modality, unit, scale, channels)
    return streams


def write_plant(
    folder: str | Path, *, machines: int = 12, seconds: float = 20.0, sessions: int = 1, seed: int = 0
) -> list[Path]:
    """Write a simulated plant: one file a machine; in it, one recording a condition and session.

    Each recording has the identity `machine`, `session` and `simulated: yes`, and a label track
    `condition` over all of it. Returns the files in order of the machines.

    Raises:
        ArchiveError: a file exists already.
        ValueError: see `simulate`.
    """
    paths = []
    for number in range(machines):
        machine = Machine.draw(number, seed=seed)
        path = Path(folder) / f"{machine.name}.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
        with RecordingWriter(path) as writer:
            for session, condition in ((s, c) for s in range(sessions) for c in CONDITIONS):
                streams = simulate(machine, condition, seconds=seconds, seed=seed, session=session)
                identity = {"machine": machine.name, "session": f"s{session}", "simulated": "yes"}
                draft = writer.recording(f"{condition}_s{session}", clock="relative", identity=identity)
                for name, stream in streams.items():
                    draft.add_stream(name, **vars(stream))
                start = min(stream.t0 for stream in streams.values())
                end = max(stream.end for stream in streams.values())
                draft.add_labels("condition", [(start, end, condition)])
        paths.append(path)
    return paths


def _acceleration(
    machine: Machine, condition: str, severity: float, t: Floats, rng: np.random.Generator
) -> NDArray[Any]:
    """(n, 3), AC-coupled: shaft orders; bearing noise and blows, which ring at the seat's resonance."""
    turns = machine.speed * t + 0.02 * np.sin(0.7 * t + rng.uniform(0, 6)) + rng.uniform()
    orders, sizes = np.arange(1.0, 4.0), (0.8 + 0.5 * machine.load) / np.arange(1.0, 4.0)
    if condition in ("looseness", "rotor_rub"):
        # A part that lifts and lands once in two turns: half orders, slowly falling.
        orders = np.arange(0.5, 6.1, 0.5)
        sizes = severity * 1.9 / np.sqrt(orders)
    sizes = sizes * rng.uniform(0.6, 1.4, len(orders))
    angle = 2 * np.pi * (np.outer(orders, turns) + rng.uniform(size=(len(orders), 1)))
    force = rng.normal(0.0, 0.45 + 0.25 * machine.load, len(t))
    if condition == "bearing_fault":
        # Rolling elements slip by a hundredth; a blow is stronger where the load is, once a turn.
        passes = machine.speed * machine.bearing_order
        blow = np.cumsum(rng.normal(1.0, 0.01, int(t[-1] * passes * 0.98))) / passes
        size = 9.0 * severity * (1 + 0.5 * np.cos(2 * np.pi * machine.speed * blow))
        blow, size = blow[blow < t[-1]], size[blow < t[-1]]
        force[(blow * ACCELERATION_RATE).astype(int)] += size * rng.uniform(0.7, 1.3, len(size))
    decay = np.arange(0.0, 6.0 / machine.damping, 1 / ACCELERATION_RATE)
    ring = np.exp(-machine.damping * decay) * np.sin(2 * np.pi * machine.resonance * decay)
    ringing = np.convolve(force, ring)[: len(t)]
    # The vertical follows the horizontal by a quarter of a turn; little goes along the shaft.
    shaft = np.stack([np.cos(angle), 0.8 * np.sin(angle), 0.3 * np.cos(angle + 1)], 2)
    axes = np.tensordot(sizes, shaft, 1) + ringing[:, None] * (0.8, 1.0, 0.4)
    axes = machine.gain * (axes + rng.normal(0.0, 0.25, axes.shape)) @ np.transpose(machine.mounting)
    return np.rint(axes / ACCELERATION_SCALE).clip(-32768, 32767).astype(np.int16)


def _temperature(
    machine: Machine, condition: str, severity: float, t: Floats, rng: np.random.Generator
) -> NDArray[Any]:
    """(n, 1): a body that tends, with its time constant, to where heating and cooling balance."""
    body = np.full(len(t), machine.ambient + 12.0 + 8.0 * machine.load + rng.normal())
    goal, time_constant = body.copy(), 20.0
    if condition in ("belt_slip", "fan_stopped"):
        # Friction heats, or cooling is missing: the new balance is far above.
        goal += 28.0 * severity
    elif condition == "rotor_rub":
        # The shaft bows, touches, heats on the spot, wears itself free and touches again (Newkirk).
        goal += 16.0 * severity * ((t / rng.uniform(3.5, 5.5) + rng.uniform()) % 1.0 < 0.35)
        time_constant = 2.5
    for step in range(1, len(t)):
        body[step] = body[step - 1] + (goal[step] - body[step - 1]) / (time_constant * TEMPERATURE_RATE)
    draught = 0.4 * np.sin(2 * np.pi * (t / rng.uniform(15.0, 40.0) + rng.uniform()))
    return (body + draught + rng.normal(0.0, 0.1, len(t))).astype(np.float32)[:, None]


def _video(
    machine: Machine, condition: str, severity: float, t: Floats, rng: np.random.Generator
) -> NDArray[Any]:
    """(n, 64, 64, 3): the resting scene once, what moves frame by frame, then light and noise."""
    x, y = _picture_plane(machine)
    frames = np.repeat(_resting_scene(machine, x, y), len(t), axis=0)
    t = t[:, None]
    _draw_belt(frames, x, y, t, condition == "belt_slip", rng)
    _draw_fan(frames, x, y, t, machine, condition == "fan_stopped", rng)
    wobble = 0.06 * severity if condition in ("looseness", "rotor_rub") else 0.0
    _draw_rotor(frames, x, y, t, machine, wobble * rng.normal(size=(2, len(t), 1)), rng)
    if condition == "belt_slip":
        _draw_smoke(frames, x, y, t, severity, rng)
    level, slope = machine.light
    flicker = 1 + 0.03 * np.sin(2 * np.pi * (0.9 * t + rng.uniform())) + 0.01 * rng.normal(size=t.shape)
    frames *= (flicker * (255 / LEVEL_STEP * level * (1 + slope * x))).astype(np.float32)[..., None]
    frames += rng.normal(0.0, 0.4, frames.shape[1:]).astype(np.float32)
    frames += rng.random(frames.shape[:2], dtype=np.float32)[..., None]
    np.clip(frames, 0, 255 // LEVEL_STEP, out=frames)
    return (frames.astype(np.uint8) * np.uint8(LEVEL_STEP)).reshape(len(t), FRAME, FRAME, 3)


def _picture_plane(machine: Machine) -> tuple[Floats, Floats]:
    """(4096,) x and y of each pixel on the machine, as its camera stands."""
    zoom, turn, across, up = machine.camera
    grid = (np.arange(FRAME) + 0.5) / FRAME * 2 - 1
    plane = (grid[None, :] - 1j * grid[:, None]).ravel() * np.exp(1j * turn) / zoom
    return plane.real - across, plane.imag - up


def _resting_scene(machine: Machine, x: Floats, y: Floats) -> Floats:
    """(1, 4096, 3): wall, floor, motor, the fan's housing and the driven pulley."""
    wall, motor, fan, _ = np.array(machine.paint)
    scene = np.full((1, len(x), 3), wall, dtype=np.float32)
    body = np.maximum(np.abs(x - ROTOR[0]) - 0.4, np.abs(y - ROTOR[1] + 0.08) - 0.42)
    _paint(scene, x < 9, _edge(-0.72 - y), 0.6 * wall)
    _paint(scene, x < 9, _edge(-body), motor)
    _paint(scene, x < 9, _edge(FAN_RADIUS + 0.06 - np.hypot(x - FAN[0], y - FAN[1])), 0.5 * fan)
    _paint(scene, x < 9, _edge(PULLEY_RADIUS - np.hypot(x - PULLEY[0], y - PULLEY[1])), 0.45 + 0 * wall)
    return scene


def _draw_rotor(
    frames: Floats, x: Floats, y: Floats, t: Floats, machine: Machine, sway: Floats, rng: np.random.Generator
) -> None:
    """The shaft's disc; the exposure smears its marker over part of a turn."""
    _, motor, _, marker = np.array(machine.paint)
    near = np.hypot(x - ROTOR[0], y - ROTOR[1]) < ROTOR_RADIUS + 0.25
    dx, dy = x[near] - ROTOR[0] - sway[0], y[near] - ROTOR[1] - sway[1]
    radius, angle = np.hypot(dx, dy), np.arctan2(dy, dx) - 2 * np.pi * (machine.speed * t + rng.uniform())
    _paint(frames, near, _edge(ROTOR_RADIUS - radius), 0.5 * motor + 0.35)
    smear = np.clip(0.25 + 0.75 * np.cos(angle), 0.0, 1.0)
    _paint(frames, near, smear * _edge(0.06 - np.abs(radius - 0.17)), marker)
    _paint(frames, near, _edge(0.06 - radius), 0.3 * motor)


def _draw_belt(
    frames: Floats, x: Floats, y: Floats, t: Floats, creeping: bool, rng: np.random.Generator
) -> None:
    """Two strands whose teeth are a blur at speed, and crawl in jerks when the belt slips."""
    run = complex(*PULLEY) - complex(*ROTOR)
    place = ((x + 1j * y) - complex(*ROTOR)) / run  # real: 0 at the rotor, 1 at the pulley
    across = place.imag * abs(run)
    strand = 0.05 - np.abs(np.abs(across) - 0.24 + 0.07 * place.real)
    near = (strand > -0.05) & (place.real > 0) & (place.real < 1)
    creep = np.cumsum(rng.uniform(0.0, 0.06, t.shape), axis=0) * np.sign(across[near])
    teeth = np.sin(2 * np.pi / 0.22 * (place.real[near] * abs(run) + creep))
    shade = 0.35 + 0.25 * teeth if creeping else 0.35 + 0.02 * rng.normal(size=t.shape) + 0 * teeth
    _paint(frames, near, _edge(strand[near]), shade[..., None])


def _draw_fan(
    frames: Floats,
    x: Floats,
    y: Floats,
    t: Floats,
    machine: Machine,
    standing: bool,
    rng: np.random.Generator,
) -> None:
    """A disc of smeared blades, or blades at rest."""
    fan = np.array(machine.paint[2])
    near = np.hypot(x - FAN[0], y - FAN[1]) < FAN_RADIUS + 0.05
    radius = np.hypot(x[near] - FAN[0], y[near] - FAN[1])
    angle = np.arctan2(y[near] - FAN[1], x[near] - FAN[0]) - (0.0 if standing else 6.7 * machine.speed * t)
    wave = np.sin(machine.blades * angle + rng.uniform(0, 6))
    share = np.clip(0.5 + 2.0 * wave, 0.0, 1.0) if standing else 0.5 + 0.06 * wave
    _paint(frames, near, share * _edge(FAN_RADIUS - radius), fan + 0.4)
    _paint(frames, near, _edge(0.09 - radius), 0.4 * fan)


def _draw_smoke(
    frames: Floats, x: Floats, y: Floats, t: Floats, severity: float, rng: np.random.Generator
) -> None:
    """Puffs that rise from the driven pulley, widen and thin out."""
    near = (np.abs(x - PULLEY[0]) < 0.45) & (np.abs(y - PULLEY[1] - 0.4) < 0.5)
    for puff in range(3):
        age = (t / 1.8 + puff / 3 + rng.uniform(0, 0.2)) % 1.0
        dx = x[near] - PULLEY[0] - 0.1 * np.sin(5 * age + rng.uniform(0, 6))
        dy = y[near] - PULLEY[1] - 0.1 - 0.6 * age
        cover = 0.4 * severity * (1 - age) * np.exp(-(dx**2 + dy**2) / (0.08 + 0.12 * age) ** 2)
        _paint(frames, near, cover, np.full(3, 0.75))


def _paint(frames: Floats, pixels: NDArray[np.bool_], cover: Floats, colour: Floats) -> None:
    """Blend a colour into some pixels of every frame; cover: (pixels) or (n, pixels), 0 to 1."""
    share = cover.astype(np.float32)[..., None]
    frames[:, pixels] = frames[:, pixels] * (1 - share) + share * colour.astype(np.float32)


def _edge(depth: Floats) -> Floats:
    """How much of a pixel lies inside, by its depth below the edge: 0 to 1 over a pixel and a half."""
    return np.asarray(np.clip(0.5 + depth * (FRAME / 3), 0.0, 1.0))


def _rotation(axis: Floats, angle: float) -> tuple[tuple[float, ...], ...]:
    """Rows of the (3, 3) rotation about an axis (Rodrigues' formula)."""
    a, b, c = axis / np.linalg.norm(axis)
    cross = np.array([[0, -c, b], [c, 0, -a], [-b, a, 0]])
    turn = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return tuple(tuple(row) for row in turn.tolist())
