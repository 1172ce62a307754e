"""The stage of the demo scene: meshes, textures and materials in the form that the renderer takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from demo_clip.shapes import Mesh


@dataclass
class Stage:
    """What the scene is built with.

    Attributes:
        mi: the renderer's module, with its variant set.
        folder: where mesh files go.
        items: the scene's dictionary as the renderer takes it.
    """

    mi: Any
    folder: Path
    items: dict[str, Any] = field(default_factory=dict)

    def bitmap(self, image: NDArray[np.float32], repeat: float = 1.0) -> dict[str, Any]:
        """A texture from linear values, (H, W, 3) or (H, W); first row on top."""
        pixels = image if image.ndim == 3 else image[..., None]
        texture: dict[str, Any] = {
            "type": "bitmap",
            "bitmap": self.mi.Bitmap(np.ascontiguousarray(pixels[::-1])),
            "raw": True,
        }
        if repeat != 1.0:
            texture["to_uv"] = self.mi.ScalarTransform3f().scale([repeat, repeat])
        return texture

    def add(self, name: str, mesh: Mesh, bsdf: dict[str, Any], glow: Any = None, weight: float = 1.0) -> None:
        """Put a mesh on the stage, with a material and, for a lamp, its radiance (a colour or a texture)."""
        shape: dict[str, Any] = {"type": "ply", "filename": str(mesh.write(self.folder / f"{name}.ply")), "bsdf": bsdf}
        shape["face_normals"] = not mesh.smooth
        if glow is not None:
            radiance = {"type": "rgb", "value": list(glow)} if isinstance(glow, tuple) else glow
            shape["emitter"] = {"type": "area", "radiance": radiance, "sampling_weight": weight}
        self.items[name] = shape


def rgb(*colour: float) -> dict[str, Any]:
    """A plain reflectance."""
    return {"type": "rgb", "value": list(colour)}


def matte(colour: dict[str, Any]) -> dict[str, Any]:
    """A Lambertian surface, both sides."""
    return {"type": "twosided", "bsdf": {"type": "diffuse", "reflectance": colour}}


def glossy(colour: dict[str, Any], roughness: float, metallic: float = 0.0, coat: float = 0.0) -> dict[str, Any]:
    """A Disney-type surface, both sides."""
    bsdf = {"type": "principled", "base_color": colour, "roughness": roughness, "metallic": metallic, "specular": 0.5}
    if coat:
        bsdf |= {"clearcoat": coat, "clearcoat_gloss": 0.9}
    return {"type": "twosided", "bsdf": bsdf}
