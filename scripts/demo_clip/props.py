"""What stands on the table of the demo scene, and how it moves. Metres, y up; frames at `FPS`."""

from __future__ import annotations

import numpy as np

from demo_clip import shapes, textures
from demo_clip.shapes import Mesh
from demo_clip.stage import Stage, glossy, matte, rgb

FPS = 24
WALL_Z = -0.70
"""The inner face of the window wall."""

_BALL_AT = (0.140, 0.362, -0.05)  # where the pendulum hangs from
_STRING = 0.205
_GLOBE_AT = (0.30, 0.098, 0.06)


def pendulum_degrees(frame: float) -> float:
    """Angle of the pendulum: its length gives the period, 2π sqrt(L / g)."""
    period = 2 * np.pi * np.sqrt(_STRING / 9.81)
    return float(17.0 * np.cos(2 * np.pi * frame / FPS / period + 0.5))


def shelf(stage: Stage, rng: np.random.Generator, frame: float) -> None:
    """A low cabinet in the corner, dark inside, with books on it and film tins in it."""
    planks, _ = textures.wood(rng, 512, 1024, 2, (0.055, 0.022, 0.010))
    wood = glossy(stage.bitmap(planks), 0.45)
    x0, x1, z0, z1, high = -0.70, -0.20, WALL_Z + 0.002, -0.50, 0.165
    mesh = shapes.box((x0, high, z0), (x1, high + 0.016, z1 + 0.01), 0.5)
    for x in (x0, (x0 + x1) / 2, x1 - 0.014):
        mesh += shapes.box((x, 0.001, z0), (x + 0.014, high, z1), 0.5)
    mesh += shapes.box((x0, 0.001, z0), (x1, high, z0 + 0.01), 0.5)
    stage.add("cabinet", mesh, wood)
    books = (
        ("A SHORT EXPOSURE", (0.30, 0.05, 0.04), (0.75, 0.60, 0.25), 0.036, 0.185),
        ("THE LONG EXPOSURE", (0.05, 0.12, 0.20), (0.72, 0.68, 0.55), 0.042, 0.200),
        ("GHOSTS & HALOS", (0.62, 0.56, 0.42), (0.10, 0.05, 0.03), 0.030, 0.172),
        ("ON NOISE", (0.06, 0.16, 0.09), (0.75, 0.65, 0.35), 0.040, 0.192),
        ("WINDOWS", (0.45, 0.22, 0.05), (0.05, 0.03, 0.02), 0.026, 0.160),
        ("SHADOW & LIGHT", (0.04, 0.04, 0.05), (0.70, 0.70, 0.70), 0.038, 0.196),
    )
    x = -0.665
    for k, (title, base, ink, thick, tall) in enumerate(books):
        cover = textures.spine(rng, title, base, ink)
        lean = shapes.rotation("z", -9.0) if k == len(books) - 1 else np.eye(4)
        gap = 0.028 if k == len(books) - 1 else 0.0
        place = shapes.translation(x + gap + thick / 2, high + 0.017, -0.535 - 0.006 * (k % 3)) @ lean
        stage.add(f"book{k}", shapes.board(thick, tall, 0.13).moved(place), glossy(rgb(*base), 0.55))
        place = place @ shapes.translation(0, 0, 0.0004)
        stage.add(f"spine{k}", shapes.board(thick, tall, 0.0003).moved(place), glossy(stage.bitmap(cover), 0.55))
        x += thick + 0.0015
    tin = np.array([(1e-5, 0), (0.052, 0), (0.052, 0.022), (0.050, 0.024), (1e-5, 0.024)])
    tins = [(-0.335, 0.0), (-0.330, 0.0245), (-0.337, 0.049)]
    for k, (x, y) in enumerate(tins):
        mesh = shapes.lathe(tin, 64, sharp=True).moved(shapes.translation(x, y + 0.001, -0.57))
        colour = ((0.50, 0.45, 0.38), (0.16, 0.28, 0.34), (0.45, 0.15, 0.08))[k]
        stage.add(f"tin{k}", mesh, glossy(rgb(*colour), 0.3, 0.8))
    pot = np.array([(1e-5, 0), (0.045, 0), (0.062, 0.03), (0.055, 0.085), (0.03, 0.105), (0.036, 0.12)])
    bands = ((0.45, 0.52, (0.08, 0.12, 0.30)), (0.6, 0.64, (0.08, 0.12, 0.30)))
    glaze = textures.glaze(rng, 256, bands, (0.62, 0.55, 0.42))
    mesh = shapes.lathe(shapes.smoothed(pot), 64).moved(shapes.translation(-0.56, 0.001, -0.585))
    stage.add("jar", mesh, glossy(stage.bitmap(glaze), 0.2))


def slate(stage: Stage, rng: np.random.Generator, frame: float) -> None:
    """A clapperboard and a colour chart, in the shade of their own backs."""
    place = shapes.translation(-0.265, 0.0, -0.16) @ shapes.rotation("y", 21) @ shapes.rotation("x", -9)
    stage.add("slate", shapes.board(0.168, 0.126, 0.008).moved(place), glossy(stage.bitmap(textures.slate()), 0.45))
    stick = glossy(stage.bitmap(textures.sticks()), 0.45)
    low = place @ shapes.translation(0, 0.127, 0.0015)
    stage.add("stick0", shapes.board(0.172, 0.018, 0.011).moved(low), stick)
    hinge = place @ shapes.translation(-0.084, 0.147, 0.0015) @ shapes.rotation("z", 17)
    stage.add("stick1", shapes.board(0.172, 0.018, 0.011).moved(hinge @ shapes.translation(0.086, 0, 0)), stick)
    place = shapes.translation(-0.055, 0.0, -0.33) @ shapes.rotation("y", -8) @ shapes.rotation("x", -14)
    chart = glossy(stage.bitmap(textures.colour_chart()), 0.6)
    stage.add("chart", shapes.board(0.132, 0.088, 0.004).moved(place), chart)


def lamps(stage: Stage, rng: np.random.Generator, frame: float) -> None:
    """A bare bulb on its cord, and a string of fairy lights along the wall."""
    brass = glossy(rgb(0.70, 0.46, 0.17), 0.2, 1.0)
    x, y, z = -0.185, 0.355, -0.42
    bulb = shapes.smoothed(
        np.array(
            [
                (1e-5, -0.030),
                (0.012, -0.0275),
                (0.022, -0.019),
                (0.026, -0.006),
                (0.023, 0.008),
                (0.016, 0.021),
                (0.012, 0.032),
            ]
        )
    )
    stage.add(
        "bulb",
        shapes.lathe(bulb, 48).moved(shapes.translation(x, y, z)),
        matte(rgb(0.6, 0.6, 0.6)),
        (30.0, 17.5, 7.5),
        1.5,
    )
    socket = np.array([(0.013, 0.030), (0.015, 0.032), (0.015, 0.058), (0.004, 0.070)])
    stage.add("socket", shapes.lathe(socket, 32, sharp=True).moved(shapes.translation(x, y, z)), brass)
    cord = [(x, y + 0.068 + 0.3 * k, z) for k in range(6)]
    stage.add("cord", shapes.tube(cord, 0.0028), matte(rgb(0.02, 0.02, 0.02)))
    t = np.linspace(0, 1, 25)
    sag = np.stack([-0.78 + 0.64 * t, 0.425 - 0.20 * t * (1 - t) - 0.03 * t, np.full_like(t, WALL_Z + 0.012)], 1)
    stage.add("wire", shapes.tube(sag, 0.0012, 6), matte(rgb(0.02, 0.05, 0.02)))
    whole: Mesh | None = None
    for k in range(8):
        at = sag[2 + 3 * k] + np.array([0.0, -0.010, 0.004])
        one = shapes.ball(0.0062, 24).moved(shapes.translation(*at) @ np.diag([1, 1.5, 1, 1]))
        whole = one if whole is None else whole + one
    assert whole is not None
    stage.add("fairy", whole, matte(rgb(0.5, 0.5, 0.5)), (46.0, 22.0, 6.5), 1.0)


def candle(stage: Stage, rng: np.random.Generator, frame: float) -> None:
    """A candle in a brass dish; the flame sways a little."""
    x, z = -0.115, 0.085
    dish = np.array([(1e-5, 0.001), (0.040, 0.001), (0.048, 0.010), (0.046, 0.011), (0.038, 0.004), (1e-5, 0.004)])
    place = shapes.translation(x, 0, z)
    stage.add("dish", shapes.lathe(dish, 64, sharp=True).moved(place), glossy(rgb(0.70, 0.46, 0.17), 0.22, 1.0))
    wax = np.array([(0.0165, 0.004), (0.0165, 0.058), (0.0145, 0.0605), (0.010, 0.059), (1e-5, 0.0575)])
    stage.add("wax", shapes.lathe(shapes.smoothed(wax), 48).moved(place), glossy(rgb(0.78, 0.70, 0.55), 0.35))
    stage.add("wick", shapes.tube([(x, 0.056, z), (x + 0.0005, 0.067, z)], 0.0009, 8), matte(rgb(0.02, 0.02, 0.02)))
    s = frame / FPS
    sway = 4.0 * np.sin(2 * np.pi * 1.3 * s) + 2.0 * np.sin(2 * np.pi * 3.7 * s + 1.0)
    stretch = 1.0 + 0.05 * np.sin(2 * np.pi * 2.9 * s + 0.3)
    flame = np.array([(1e-5, 0.0), (0.0050, 0.004), (0.0062, 0.010), (0.0045, 0.020), (0.0018, 0.029), (1e-5, 0.035)])
    place = shapes.translation(x, 0.062, z) @ shapes.rotation("z", float(sway)) @ np.diag([1, stretch, 1, 1])
    up = np.linspace(1, 0, 64)[:, None, None]  # first row is the tip, which is dimmer, as is the base
    glow = np.array([60.0, 34.0, 11.0]) * (0.35 + 0.65 * np.minimum(4 * up, 1)) * (1 - 0.6 * up**2)
    stage.add(
        "flame",
        shapes.lathe(shapes.smoothed(flame), 32).moved(place),
        matte(rgb(0.1, 0.1, 0.1)),
        stage.bitmap(np.broadcast_to(glow, (64, 2, 3)).astype(np.float32)),
        0.8,
    )


def pendulum(stage: Stage, rng: np.random.Generator, frame: float) -> None:
    """A brass ball on two strings in a steel frame: the fast motion."""
    steel = glossy(rgb(0.55, 0.55, 0.57), 0.16, 1.0)
    x, y, z = _BALL_AT
    depth = 0.075
    half = 0.125
    mesh: Mesh | None = None
    for side in (-depth, depth):
        path = [(x - half, 0.012, z + side), (x - half, y - 0.02, z + side)]
        corner = np.linspace(0, np.pi / 2, 7)
        path += [(x - half + 0.02 * (1 - np.cos(a)), y - 0.02 + 0.02 * np.sin(a), z + side) for a in corner[1:]]
        path += [(2 * x - p[0], p[1], p[2]) for p in reversed(path)]
        one = shapes.tube(path, 0.0040, 16)
        mesh = one if mesh is None else mesh + one
    assert mesh is not None
    stage.add("rails", mesh, steel)
    planks, _ = textures.wood(rng, 256, 512, 1, (0.03, 0.012, 0.008))
    base = shapes.box((x - 0.15, 0.001, z - depth - 0.025), (x + 0.15, 0.016, z + depth + 0.025))
    stage.add("base", base, glossy(stage.bitmap(planks), 0.12, coat=0.8))
    angle = np.radians(pendulum_degrees(frame))
    centre = (x + _STRING * np.sin(angle), y - _STRING * np.cos(angle), z)
    strings = shapes.tube([(x, y, z - depth), centre], 0.0008, 6) + shapes.tube([(x, y, z + depth), centre], 0.0008, 6)
    stage.add("strings", strings, matte(rgb(0.10, 0.10, 0.10)))
    stage.items["ball"] = {
        "type": "sphere",
        "center": list(centre),
        "radius": 0.030,
        "bsdf": glossy(rgb(0.86, 0.58, 0.22), 0.10, 1.0),
    }


def plant(stage: Stage, rng: np.random.Generator, frame: float) -> None:
    """A potted plant by the window; its leaves let light through and stir a little."""
    at = shapes.translation(0.385, 0.0, -0.46)
    pot = np.array(
        [
            (1e-5, 0.001),
            (0.040, 0.001),
            (0.058, 0.03),
            (0.064, 0.07),
            (0.060, 0.105),
            (0.064, 0.112),
            (0.056, 0.108),
            (0.05, 0.09),
            (1e-5, 0.09),
        ]
    )
    bands = ((0.30, 0.34, (0.70, 0.66, 0.58)), (0.37, 0.44, (0.70, 0.66, 0.58)), (0.47, 0.51, (0.70, 0.66, 0.58)))
    glaze = textures.glaze(rng, 384, bands, (0.03, 0.16, 0.18))
    stage.add("pot", shapes.lathe(shapes.smoothed(pot), 96).moved(at), glossy(stage.bitmap(glaze), 0.12, coat=0.5))
    blades: Mesh | None = None
    stems: Mesh | None = None
    for k in range(15):
        turn = 137.5 * k + float(rng.uniform(-12, 12))
        height = 0.115 + 0.011 * k + float(rng.uniform(0, 0.012))
        sway = 1.5 * np.sin(2 * np.pi * (0.8 * frame / FPS) + k) * (height / 0.2)
        reach = 0.022 + float(rng.uniform(0, 0.012))
        bow = np.array([[0, 0.088, 0], [0, 0.5 * (0.088 + height), 0.5 * reach], [0, height, reach]])
        spin = at @ shapes.rotation("y", turn + float(sway))
        one = shapes.tube(bow, (0.0022, 0.0019, 0.0015), 8).moved(spin)
        stems = one if stems is None else stems + one
        size = float(rng.uniform(0.055, 0.095))
        blade = shapes.leaf(size, 0.52 * size, float(rng.uniform(15, 70)), float(rng.uniform(40, 95)))
        blade = blade.moved(spin @ shapes.translation(0, height, reach) @ shapes.rotation("x", float(sway)))
        blades = blade if blades is None else blades + blade
    assert blades is not None
    assert stems is not None
    stage.add("stems", stems, matte(rgb(0.10, 0.16, 0.04)))
    veins = textures.noise(rng, 256, 128, (20, 6), 2)
    green = textures.mix((0.05, 0.15, 0.02), (0.16, 0.32, 0.05), (0.5 + 0.2 * veins).astype(np.float32))
    green[:, 60:68] = (0.24, 0.36, 0.10)
    thin = {
        "type": "principledthin",
        "base_color": stage.bitmap(green),
        "roughness": 0.4,
        "diff_trans": 1.3,
        "eta": 1.4,
    }
    stage.add("leaves", blades, thin)


def globe(stage: Stage, rng: np.random.Generator, frame: float) -> None:
    """A globe that turns slowly, on a checked cloth: the slow motion."""
    cloth = matte(stage.bitmap(textures.gingham(rng, 1024, 9)))
    place = shapes.translation(0.315, 0.0, 0.05) @ shapes.rotation("y", 12)
    stage.add("cloth", shapes.box((-0.16, 0.0004, -0.16), (0.16, 0.002, 0.16)).moved(place), cloth)
    x, y, z = _GLOBE_AT
    brass = glossy(rgb(0.70, 0.46, 0.17), 0.2, 1.0)
    foot = np.array([(1e-5, 0.003), (0.046, 0.003), (0.046, 0.008), (0.012, 0.013), (0.006, 0.03), (1e-5, 0.031)])
    stage.add("foot", shapes.lathe(foot, 64, sharp=True).moved(shapes.translation(x, 0, z)), brass)
    tilt = shapes.translation(x, y, z) @ shapes.rotation("z", -20)
    a = np.radians(np.linspace(-92, 92, 33))
    arc = np.stack([-0.074 * np.cos(a) + 0, 0.074 * np.sin(a), np.zeros_like(a)], 1)
    stage.add("arc", shapes.tube(arc, 0.0028, 12).moved(tilt), brass)
    turn = tilt @ shapes.rotation("y", 200.0 + 2.2 * frame)
    paper = glossy(stage.bitmap(textures.globe(rng)), 0.25, coat=0.4)
    stage.add("globe", shapes.ball(0.066, 128).moved(turn), paper)


def still_life(stage: Stage, rng: np.random.Generator, frame: float) -> None:
    """A red mug and a steel ball."""
    mug = np.array(
        [
            (1e-5, 0.001),
            (0.030, 0.001),
            (0.036, 0.006),
            (0.038, 0.04),
            (0.038, 0.088),
            (0.036, 0.090),
            (0.034, 0.086),
            (0.033, 0.02),
            (1e-5, 0.012),
        ]
    )
    at = shapes.translation(0.045, 0, -0.44)
    bands = ((0.20, 0.23, (0.75, 0.70, 0.60)), (0.26, 0.27, (0.75, 0.70, 0.60)), (0.40, 0.43, (0.75, 0.70, 0.60)))
    glaze = glossy(stage.bitmap(textures.glaze(rng, 256, bands, (0.42, 0.030, 0.022))), 0.10, coat=0.6)
    stage.add("mug", shapes.lathe(shapes.smoothed(mug, 6), 96).moved(at), glaze)
    a = np.radians(np.linspace(-80, 80, 21))
    handle = np.stack([-0.036 - 0.022 * np.cos(a), 0.048 + 0.027 * np.sin(a), 0 * a], 1)
    stage.add("handle", shapes.tube(handle, 0.0045, 16).moved(at @ shapes.rotation("y", 50)), glaze)
    stage.items["steel_ball"] = {
        "type": "sphere",
        "center": [-0.02 + 0.0028 * frame, 0.024, 0.13],
        "radius": 0.024,
        "bsdf": glossy(rgb(0.70, 0.70, 0.72), 0.08, 1.0),
    }
