"""Makes film_original.npz: random weights and outputs of the published FILM code, saved by TensorFlow itself.

    python tests/golden/make_film.py CHECKOUT tests/golden/film_original.npz

CHECKOUT is a checkout of the public google-research/frame-interpolation (Apache-2.0; made at 69f8708); it needs
`tensorflow-cpu` and `tf-keras` (made with 2.21). Its two other dependencies are replaced here: gin's decorator by the
identity, TensorFlow Addons' `dense_image_warp` by the same rule written anew. Nothing of the checkout is copied: the
archive holds random numbers, what the network made of them, and the SavedModel's files of variables.
"""

from __future__ import annotations

import os
import sys
import tempfile
import types
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import numpy as np
import tensorflow as tf


def dense_image_warp(image: tf.Tensor, flow: tf.Tensor) -> tf.Tensor:
    """Bilinear samples at (y - flow[0], x - flow[1]), clamped to the image."""
    batch, height, width = (tf.shape(image)[i] for i in range(3))
    y, x = tf.meshgrid(tf.range(height), tf.range(width), indexing="ij")

    def split(place: tf.Tensor, size: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        low = tf.minimum(tf.maximum(0.0, tf.floor(place)), tf.cast(size - 2, tf.float32))
        return tf.cast(low, tf.int32), tf.clip_by_value(place - low, 0.0, 1.0)[..., None]

    iy, ay = split(tf.cast(y, tf.float32)[None] - flow[..., 0], height)
    ix, ax = split(tf.cast(x, tf.float32)[None] - flow[..., 1], width)
    item = tf.broadcast_to(tf.range(batch)[:, None, None], tf.shape(iy))

    def fetch(down: int, right: int) -> tf.Tensor:
        return tf.gather_nd(image, tf.stack([item, iy + down, ix + right], -1))

    top = fetch(0, 0) + ax * (fetch(0, 1) - fetch(0, 0))
    bottom = fetch(1, 0) + ax * (fetch(1, 1) - fetch(1, 0))
    return top + ay * (bottom - top)


def inputs() -> tuple[np.ndarray, np.ndarray]:
    """Two frames (1, 128, 192, 3) made of waves; the test makes the same ones."""
    y, x, c = np.meshgrid(np.arange(128), np.arange(192), np.arange(3), indexing="ij")
    first = 0.5 + 0.25 * np.sin(x / 5 + c) + 0.2 * np.cos(y / 7 + x / 23 - c)
    second = 0.5 + 0.25 * np.sin((x - 4) / 5 + c) + 0.2 * np.cos((y - 2) / 7 + (x - 4) / 23 - c)
    return first[None].astype(np.float32), second[None].astype(np.float32)


def main(checkout: str, target: str) -> None:
    gin = types.ModuleType("gin")
    gin.tf = types.ModuleType("gin.tf")
    gin.configurable = lambda name: lambda wrapped: wrapped
    addons = types.ModuleType("tensorflow_addons")
    addons.image = types.ModuleType("tensorflow_addons.image")
    addons.image.dense_image_warp = dense_image_warp
    for module in (gin, gin.tf, addons, addons.image):
        sys.modules[module.__name__] = module
    sys.path.insert(0, checkout)
    from models.film_net import interpolator, options

    config = options.Options(
        pyramid_levels=7,
        fusion_pyramid_levels=5,
        specialized_levels=3,
        flow_convs=[3, 3, 3, 3],
        flow_filters=[2, 2, 2, 4],
        sub_levels=4,
        filters=1,
    )
    keras = tf.keras
    ends = [keras.Input((None, None, 3), name=name) for name in ("x0", "x1")]
    model = interpolator.create_model(*ends, keras.Input((1,), name="time"), config)
    rng = np.random.default_rng(0)
    for variable in model.variables:
        scale = np.sqrt(2.0 / np.prod(variable.shape[:-1])) if len(variable.shape) == 4 else 0.05
        # Multiples of 1/64, so that the archive is small.
        variable.assign(np.round(rng.normal(0.0, scale, variable.shape) * 64) / 64)
    first, second = inputs()
    out = model({"x0": first, "x1": second, "time": np.full((1, 1), 0.5, np.float32)})
    with tempfile.TemporaryDirectory() as folder:
        model.save(folder)
        files = {path.name: path for path in (Path(folder) / "variables").iterdir()}
        data = {name.replace(".", "/"): np.frombuffer(path.read_bytes(), np.uint8) for name, path in files.items()}
    np.savez_compressed(
        target,
        image=np.asarray(out["image"])[0, ::6, ::6],
        forward=np.asarray(out["forward_flow_pyramid"][0])[0, ::8, ::8],
        backward=np.asarray(out["backward_flow_pyramid"][0])[0, ::8, ::8],
        **data,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
