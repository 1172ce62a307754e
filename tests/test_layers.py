"""The house's rule: a file imports only lower floors, and on its own floor only what its row names."""

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "lrhdr"

# module -> (floor, modules of its own floor that it may import); packages' __init__ count as their package
ROWS: dict[str, tuple[int, tuple[str, ...]]] = {
    "_version": (0, ()),
    "checks": (0, ()),
    "transfer": (0, ()),
    "radiometry": (0, ()),
    "tonemap": (0, ()),
    "colour": (0, ()),
    "warp": (0, ()),
    "filters": (0, ()),
    "entmax": (0, ()),
    "exposure": (1, ()),
}


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(SRC.rglob("*.py")):
        parts = path.relative_to(SRC).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name:
            found[name] = path
    return found


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            names.update({module} | {f"{module}.{alias.name}" for alias in node.names})
    known = modules()
    inside = {name.removeprefix("lrhdr.") for name in names if name.startswith("lrhdr.")}
    return {name for name in inside if name in known}


@pytest.mark.parametrize("name", sorted(modules()))
def test_imports_only_what_its_floor_allows(name: str) -> None:
    assert name in ROWS, f"{name}: a new file needs a row in tests/test_layers.py"
    floor, beside = ROWS[name]
    for other in imports(modules()[name]) - {name}:
        assert other in ROWS, f"{name} imports {other}, which has no row"
        allowed = ROWS[other][0] < floor or other in beside
        assert allowed, f"{name} (floor {floor}) imports {other} (floor {ROWS[other][0]})"


def test_rows_name_only_files_that_exist() -> None:
    assert set(ROWS) <= set(modules())
