"""Width and depth of a FILM network, checked; the network itself is in `film`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

_SHARES = {"full": 1, "half": 2, "quarter": 4, "eighth": 8}


@dataclass(frozen=True)
class FilmConfig:
    """Width and depth of a FILM network. The defaults are those of all published weights (34,436,667 parameters).

    Attributes:
        filters: of the first convolution; deeper ones have 2, 4, 8 times as many.
        flow_filters: of the flow predictors: one for each specialised level from the finest, then the shared one.
        flow_convs: 3x3 convolutions of each of these predictors.
        pyramid_levels: of images, features and flow. Motion is followed up to about 3 * 2^(levels - 1) pixels.
        fusion_pyramid_levels: the finest levels, which are fused.
        specialized_levels: levels with a flow predictor of their own.
        sub_levels: sizes at which each image of the pyramid is described.
        any_fraction: the weights were trained for any fraction; otherwise for 0.5 only.
    """

    filters: int = 64
    flow_filters: tuple[int, ...] = (32, 64, 128, 256)
    flow_convs: tuple[int, ...] = (3, 3, 3, 3)
    pyramid_levels: int = 7
    fusion_pyramid_levels: int = 5
    specialized_levels: int = 3
    sub_levels: int = 4
    any_fraction: bool = False

    def __post_init__(self) -> None:
        """Check that the parts fit together.

        Raises:
            ValueError: they do not.
        """
        object.__setattr__(self, "flow_filters", tuple(self.flow_filters))
        object.__setattr__(self, "flow_convs", tuple(self.flow_convs))
        predictors = self.specialized_levels + 1
        if not len(self.flow_filters) == len(self.flow_convs) == predictors:
            raise ValueError(f"film: expected {predictors} flow_filters and flow_convs, found {self}")
        if (
            self.filters < 1
            or min(self.flow_convs) < 0
            or min(self.flow_filters) < 2
            or any(f % 2 for f in self.flow_filters)
        ):
            raise ValueError(f"film: expected filters from 1, flow_filters even, flow_convs from 0, found {self}")
        if not 2 <= self.fusion_pyramid_levels <= self.pyramid_levels:
            raise ValueError(f"film: expected 2 <= fusion_pyramid_levels <= pyramid_levels, found {self}")
        if not 1 <= self.specialized_levels <= self.pyramid_levels - 1:
            raise ValueError(f"film: expected 1 <= specialized_levels < pyramid_levels, found {self}")
        # Otherwise the levels that share a predictor would differ in channels.
        if not 1 <= self.sub_levels <= self.specialized_levels + 1:
            raise ValueError(f"film: expected 1 <= sub_levels <= specialized_levels + 1, found {self}")

    @classmethod
    def preset(cls, name: str) -> FilmConfig:
        """A width by name: "full", "half", "quarter" or "eighth" of the published filters.

        Raises:
            ValueError: another name.
        """
        if name not in _SHARES:
            raise ValueError(f"film: expected a width of {', '.join(_SHARES)}, found {name!r}")
        part = _SHARES[name]
        return cls(filters=64 // part, flow_filters=tuple(f // part for f in (32, 64, 128, 256)))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> FilmConfig:
        """The inverse of `to_dict`.

        Raises:
            ValueError: unknown or unfitting values.
        """
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"film: {error}") from None

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for a record."""
        return asdict(self)

    @property
    def multiple(self) -> int:
        """Sides of the network's input must be multiples of this, pixels."""
        return int(2 ** (self.pyramid_levels - 1))

    def feature_channels(self, level: int) -> int:
        """Channels of a level of the feature pyramid; level 0 is the finest."""
        return sum(self.filters << j for j in range(min(level, self.sub_levels - 1) + 1))

    def fusion_filters(self, level: int) -> int:
        """Channels that the decoder has at a level."""
        return self.filters << min(level, self.specialized_levels)
