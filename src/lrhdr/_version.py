"""The package version, read by the build and written into every output header."""

__version__ = "0.1.0"
