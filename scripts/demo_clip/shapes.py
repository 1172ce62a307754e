"""Triangle meshes of the demo scene, built with numpy and handed to the renderer as PLY files.

Units are metres, y is up. Texture coordinates run with v = 0 at the *bottom* of an object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh.

    Attributes:
        vertices: (N, 3) positions.
        uv: (N, 2) texture coordinates.
        faces: (M, 3) indices, counter-clockwise seen from outside.
        smooth: whether vertex normals (averaged over faces) are stored; else the renderer uses the faces' own.
    """

    vertices: Points
    uv: Points
    faces: NDArray[np.int32]
    smooth: bool = False

    def moved(self, matrix: ArrayLike) -> Mesh:
        """The mesh under a 4x4 affine matrix."""
        m = np.asarray(matrix, np.float64)
        return Mesh(self.vertices @ m[:3, :3].T + m[:3, 3], self.uv, self.faces, self.smooth)

    def __add__(self, other: Mesh) -> Mesh:
        """Both meshes as one."""
        faces = np.concatenate([self.faces, other.faces + len(self.vertices)]).astype(np.int32)
        vertices = np.concatenate([self.vertices, other.vertices])
        return Mesh(vertices, np.concatenate([self.uv, other.uv]), faces, self.smooth)

    def normals(self) -> Points:
        """(N, 3) area-weighted vertex normals."""
        a, b, c = (self.vertices[self.faces[:, k]] for k in range(3))
        flat = np.cross(b - a, c - a)
        total = np.zeros_like(self.vertices)
        for k in range(3):
            np.add.at(total, self.faces[:, k], flat)
        return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12))

    def write(self, path: Path) -> Path:
        """Write as binary PLY.

        Args:
            path: the file.

        Returns:
            `path`.
        """
        columns = [self.vertices] + ([self.normals()] if self.smooth else []) + [self.uv]
        names = ["x", "y", "z"] + (["nx", "ny", "nz"] if self.smooth else []) + ["u", "v"]
        table = np.concatenate(columns, axis=1).astype("<f4")
        record = np.empty(len(self.faces), dtype=[("n", "u1"), ("i", "<i4", (3,))])
        record["n"], record["i"] = 3, self.faces
        lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(table)}"]
        lines += [f"property float {name}" for name in names]
        lines += [f"element face {len(self.faces)}", "property list uchar int vertex_indices", "end_header"]
        path.write_bytes("\n".join(lines).encode() + b"\n" + table.tobytes() + record.tobytes())
        return path


def translation(x: float, y: float, z: float) -> Points:
    """4x4 matrix of a shift."""
    m = np.eye(4)
    m[:3, 3] = (x, y, z)
    return m


def rotation(axis: str, degrees: float) -> Points:
    """4x4 matrix of a right-handed turn about "x", "y" or "z"."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    m = np.eye(4)
    m[i, i], m[i, j], m[j, i], m[j, j] = c, -s, s, c
    return m


def box(low: ArrayLike, high: ArrayLike, tile: float | None = None) -> Mesh:
    """An axis-aligned box.

    Args:
        low: its smallest corner.
        high: its largest corner.
        tile: metres per repeat of the texture, counted from the world's origin; None lays the texture once on each
            face.
    """
    lo, hi = np.asarray(low, float), np.asarray(high, float)
    vertices: list[Points] = []
    uv: list[tuple[float, float]] = []
    faces: list[list[int]] = []
    # Axis of the face's normal, axis of u, axis of v.
    for normal, right, up in ((0, 2, 1), (1, 0, 2), (2, 0, 1)):
        for side in (0, 1):
            base = len(vertices)
            for s, t in ((0, 0), (1, 0), (1, 1), (0, 1)):
                p = np.where(np.arange(3) == normal, (lo, hi)[side], lo)
                p[right], p[up] = (lo, hi)[s][right], (lo, hi)[t][up]
                vertices.append(p)
                uv.append((s, t) if tile is None else (p[right] / tile, p[up] / tile))
            outward = float(np.cross(np.eye(3)[right], np.eye(3)[up])[normal]) * (2 * side - 1)
            quad = [[0, 1, 2], [0, 2, 3]] if outward > 0 else [[0, 2, 1], [0, 3, 2]]
            faces += (base + np.asarray(quad)).tolist()
    return Mesh(np.asarray(vertices), np.asarray(uv, float), np.asarray(faces, np.int32))


def board(width: float, height: float, thickness: float) -> Mesh:
    """A flat board standing on y = 0, centred in x, its front (full texture) at z = 0 facing +z."""
    return box((-width / 2, 0, -thickness), (width / 2, height, 0))


def lathe(profile: ArrayLike, segments: int = 96, sharp: bool = False) -> Mesh:
    """A surface of revolution about the y axis.

    Args:
        profile: (N, 2) radius and height, from the bottom up along the outside (then down the inside of a bowl).
        segments: faces around.
        sharp: keep the profile's corners sharp instead of shading them smoothly.
    """
    p = np.asarray(profile, float)
    if sharp:  # each piece gets its own ends, so that normals are not averaged across corners
        whole: Mesh | None = None
        for k in range(len(p) - 1):
            piece = lathe(p[k : k + 2], segments)
            whole = piece if whole is None else whole + piece
        assert whole is not None
        return whole
    n, m = len(p), segments + 1
    angle = np.linspace(0, 2 * np.pi, m)
    x = p[:, 0, None] * np.sin(angle)
    z = p[:, 0, None] * np.cos(angle)
    y = np.broadcast_to(p[:, 1, None], x.shape)
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(p, axis=0), axis=1))])
    v = np.broadcast_to((length / length[-1])[:, None], x.shape)
    u = np.broadcast_to(angle / (2 * np.pi), x.shape)
    i, j = np.meshgrid(np.arange(n - 1), np.arange(segments), indexing="ij")
    a, b, c, d = i * m + j, i * m + j + 1, (i + 1) * m + j + 1, (i + 1) * m + j
    faces = np.stack([np.stack([a, b, c], -1), np.stack([a, c, d], -1)], 2).reshape(-1, 3)
    vertices, uv = np.stack([x, y, z], -1).reshape(-1, 3), np.stack([u, v], -1).reshape(-1, 2)
    return Mesh(vertices, uv, faces.astype(np.int32), True)


def ball(radius: float, segments: int = 96) -> Mesh:
    """A sphere about the origin; its texture is an equirectangular map."""
    t = np.linspace(-np.pi / 2, np.pi / 2, segments // 2 + 1)
    return lathe(np.stack([np.maximum(radius * np.cos(t), 1e-6), radius * np.sin(t)], 1), segments)


def tube(path: ArrayLike, radius: float | Sequence[float], segments: int = 12) -> Mesh:
    """A round tube along points (N, 3), not capped; `radius` may differ from point to point."""
    p = np.asarray(path, float)
    r = np.broadcast_to(np.asarray(radius, float), (len(p),))
    tangent = np.gradient(p, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    helper = np.where(np.abs(tangent[:, :1]) < 0.9, np.array([[1.0, 0, 0]]), np.array([[0, 1.0, 0]]))
    side = np.cross(tangent, helper)
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    up = np.cross(tangent, side)
    angle = np.linspace(0, 2 * np.pi, segments + 1)
    ring = np.cos(angle)[None, :, None] * side[:, None] + np.sin(angle)[None, :, None] * up[:, None]
    vertices = p[:, None] + r[:, None, None] * ring
    n, m = len(p), segments + 1
    i, j = np.meshgrid(np.arange(n - 1), np.arange(segments), indexing="ij")
    a, b, c, d = i * m + j, i * m + j + 1, (i + 1) * m + j + 1, (i + 1) * m + j
    faces = np.stack([np.stack([a, b, c], -1), np.stack([a, c, d], -1)], 2).reshape(-1, 3)
    uv = np.stack(np.meshgrid(np.linspace(0, 1, m), np.linspace(0, 1, n)), -1).reshape(-1, 2)
    return Mesh(vertices.reshape(-1, 3), uv, faces.astype(np.int32), True)


def leaf(length: float, width: float, lift: float, droop: float, rows: int = 14) -> Mesh:
    """A leaf that starts at the origin towards +z, rises by `lift` degrees and bends down by `droop` degrees."""
    t = np.linspace(0, 1, rows)
    pitch = np.radians(lift - droop * t)
    step = length / (rows - 1)
    z = np.concatenate([[0.0], np.cumsum(np.cos(pitch[:-1]) * step)])
    y = np.concatenate([[0.0], np.cumsum(np.sin(pitch[:-1]) * step)])
    half = 0.5 * width * np.sin(np.pi * np.clip(t, 0.02, 0.98) ** 0.8) ** 0.9
    across = np.linspace(-1, 1, 5)
    x = half[:, None] * across
    fold = 0.25 * np.abs(x)  # a keel along the middle
    vertices = np.stack([x, y[:, None] + fold, np.broadcast_to(z[:, None], x.shape)], -1)
    uv = np.stack(np.meshgrid(np.linspace(0, 1, 5), t), -1)
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(4), indexing="ij")
    a, b, c, d = i * 5 + j, i * 5 + j + 1, (i + 1) * 5 + j + 1, (i + 1) * 5 + j
    faces = np.stack([np.stack([a, d, c], -1), np.stack([a, c, b], -1)], 2).reshape(-1, 3)
    return Mesh(vertices.reshape(-1, 3), uv.reshape(-1, 2), faces.astype(np.int32), True)


def smoothed(profile: Points, times: int = 8) -> Points:
    """Round a profile: `times` points per piece on a Catmull-Rom curve (centripetal enough for pots)."""
    p = np.concatenate([2 * profile[:1] - profile[1:2], profile, 2 * profile[-1:] - profile[-2:-1]])
    t = np.linspace(0, 1, times, endpoint=False)[:, None]
    pieces = []
    for k in range(1, len(p) - 2):
        a, b, c, d = p[k - 1 : k + 3]
        pieces.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - 3 * c + d - a) * t**3))
    curve = np.concatenate([*pieces, p[-2:-1]])
    curve[:, 0] = np.maximum(curve[:, 0], 1e-5)
    return np.asarray(curve)
