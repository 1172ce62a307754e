"""What FILM's parameters are called in the files that exist, and what network a file's shapes belong to.

Three sets of names are in use. The PyTorch port's are ours too (`Film.state_dict`); the port's safetensors file says
`.conv.weight` where its state dict says `.0.weight`; TensorFlow has its own names, kernels as HWIO, and counts levels
from the finest where the port counts from the coarsest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from lrhdr.interpolate.film_config import FilmConfig

Shapes = Mapping[str, tuple[int, ...]]

_TENSORFLOW_ROOTS = ("feat_net/", "predict_flow/", "fusion/")
_PARTS = {"kernel": "weight", "bias": "bias"}


def from_safetensors_name(name: str) -> str:
    """The port's state-dict name of a tensor in its safetensors file; others are returned as they are."""
    return re.sub(r"\.conv\.(weight|bias)$", r".0.\1", name)


def tensorflow_names(config: FilmConfig) -> dict[str, str]:
    """TensorFlow variable name (without ":0") to state-dict name, for every parameter of a network.

    Args:
        config: of the network.
    """
    layers: dict[str, str] = {}
    for i in range(2 * config.sub_levels):
        layers[f"feat_net/sub_extractor/cfeat_conv_{i}"] = f"extract.extract_sublevels.convs.{i // 2}.{i % 2}.0"
    own = config.specialized_levels
    for level, convs in enumerate(config.flow_convs):
        theirs = "shared" if level == own else str(level)
        ours = "_predictor" if level == own else f"_predictors.{own - 1 - level}"
        for c in range(convs + 2):
            layers[f"predict_flow/flow_predictor_{theirs}/conv_{c}"] = f"predict_flow.{ours}._convs.{c}.0"
    fused = config.fusion_pyramid_levels - 1
    for j in range(3 * fused):
        layers[f"fusion/{_keras('conv2d', j)}"] = f"fuse.convs.{fused - 1 - j // 3}.{j % 3}.0"
    layers[f"fusion/{_keras('conv2d', 3 * fused)}"] = "fuse.output_conv"
    return {f"{tf}/{part}": f"{ours}.{_PARTS[part]}" for tf, ours in layers.items() for part in _PARTS}


def from_tensorflow_name(name: str) -> str:
    """A variable's name without the model's prefix and without the ":0" of its output."""
    starts = [name.find(root) for root in _TENSORFLOW_ROOTS if root in name]
    return name[min(starts, default=0) :].removesuffix(":0")


def _keras(layer: str, index: int) -> str:
    return layer if index == 0 else f"{layer}_{index}"


def config_from_shapes(shapes: Shapes, *, pyramid_levels: int = 7, any_fraction: bool = False) -> FilmConfig:
    """The network that tensors belong to, read off their shapes.

    Where a tensor that tells a width is missing, the published width is taken, so that a comparison with this network
    names what is missing.

    Args:
        shapes: state-dict name to OIHW shape.
        pyramid_levels: of images and flow, which no shape tells.
        any_fraction: see `FilmConfig`; no shape tells it.

    Raises:
        ValueError: widths or depths that no FILM network has.
    """
    published = FilmConfig()

    def outputs(name: str, default: int) -> int:
        shape = shapes.get(f"{name}.weight", ())
        return shape[0] if len(shape) == 4 else default

    sub_levels = _count(shapes, r"extract\.extract_sublevels\.convs\.(\d+)\.") or published.sub_levels
    own = _count(shapes, r"predict_flow\._predictors\.(\d+)\.") or published.specialized_levels
    predictors = [*(f"predict_flow._predictors.{own - 1 - level}" for level in range(own)), "predict_flow._predictor"]
    fallback = (*published.flow_filters[:own], published.flow_filters[-1])
    filters, convs = [], []
    for index, predictor in enumerate(predictors):
        layers = _count(shapes, re.escape(predictor) + r"\._convs\.(\d+)\.")
        filters.append(outputs(f"{predictor}._convs.0.0", fallback[min(index, len(fallback) - 1)]))
        convs.append(layers - 2 if layers >= 3 else published.flow_convs[0])
    return FilmConfig(
        filters=outputs("extract.extract_sublevels.convs.0.0.0", published.filters),
        flow_filters=tuple(filters),
        flow_convs=tuple(convs),
        pyramid_levels=pyramid_levels,
        fusion_pyramid_levels=(_count(shapes, r"fuse\.convs\.(\d+)\.") or published.fusion_pyramid_levels - 1) + 1,
        specialized_levels=own,
        sub_levels=sub_levels,
        any_fraction=any_fraction,
    )


def _count(names: Iterable[str], pattern: str) -> int:
    """One more than the highest number that the pattern finds at the start of a name."""
    found = [int(match[1]) for name in names if (match := re.match(pattern, name))]
    return max(found, default=-1) + 1


def tensorflow_config_names(found: Iterable[str]) -> dict[str, str]:
    """TensorFlow to state-dict names of the network whose variables these are, by counting its layers.

    Args:
        found: variable names as `from_tensorflow_name` gives them.

    Raises:
        ValueError: a count that no FILM network has.
    """
    names = list(found)
    own = _count(names, r"predict_flow/flow_predictor_(\d+)/") or FilmConfig().specialized_levels
    levels = [*map(str, range(own)), "shared"]
    convs = [_count(names, rf"predict_flow/flow_predictor_{level}/conv_(\d+)/") - 2 for level in levels]
    fused = _count(names, r"fusion/conv2d_(\d+)/")
    sub = _count(names, r"feat_net/sub_extractor/cfeat_conv_(\d+)/")
    published = FilmConfig()
    return tensorflow_names(
        FilmConfig(
            filters=2,
            flow_filters=(2,) * (own + 1),
            flow_convs=tuple(c if c > 0 else published.flow_convs[0] for c in convs),
            pyramid_levels=max(published.pyramid_levels, own + 1),
            fusion_pyramid_levels=(fused - 1) // 3 + 1 if fused > 3 else published.fusion_pyramid_levels,
            specialized_levels=own,
            sub_levels=(sub + 1) // 2 or published.sub_levels,
        )
    )
