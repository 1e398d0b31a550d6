"""The house's rules: imports point one way, the package loads lazily, every dependency is used."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import likewise

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "likewise"
FLOOR = {"atomic", "checks", "console", "distributed", "errors", "seeding"}
MAY_IMPORT = {
    "runs": set(),
    "losses": set(),
    "views": set(),
    "encoders": {"views.mel"},
    "data": set(),
    "modules": {"losses", "encoders"},
    "methods": {"losses", "views", "encoders", "data", "modules", "runs"},
    "training": {"losses", "data", "methods.base", "runs"},
    "evaluation": {"training", "data", "methods.base", "views.mel", "runs"},
    "report": {"runs"},
    "modalities": {"evaluation", "training", "methods", "encoders", "data", "losses", "views", "runs"},
}


def imports(path: Path) -> set[str]:
    """The modules of ours that a file imports, below `likewise.`."""
    package = path.relative_to(SOURCE).parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            above = package[: len(package) - node.level + 1]
            found.add(".".join([*above, *((node.module or "").split("."))]).strip("."))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("likewise"):
            below = (node.module or "").removeprefix("likewise").strip(".")
            found |= {below} if below else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {a.name.removeprefix("likewise.") for a in node.names if a.name.startswith("likewise.")}
    return found


def test_imports_point_one_way() -> None:
    wrong = []
    for room, allowed in MAY_IMPORT.items():
        for path in (SOURCE / room).rglob("*.py"):
            for module in imports(path):
                allowed_here = allowed | FLOOR | {room}
                if not any(module == name or module.startswith(f"{name}.") for name in allowed_here):
                    wrong.append(f"{path.relative_to(SOURCE)} imports {module}")
    assert wrong == []


def test_the_command_line_knows_commands_only() -> None:
    assert all(
        module in ("errors", "__version__") or module.startswith("commands.") for module in imports(SOURCE / "cli.py")
    )


def test_one_file_knows_of_processes() -> None:
    knows = re.compile(r"torch\.distributed|\bdist\.|LOCAL_RANK")
    files = {path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py") if knows.search(path.read_text())}
    assert files == {"distributed.py"}


def test_no_two_classes_have_one_name() -> None:
    homes: dict[str, list[str]] = {}
    for path in SOURCE.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(str(path.relative_to(SOURCE)))
    assert {name: files for name, files in homes.items() if len(files) > 1} == {}


def test_the_spine_names_no_method() -> None:
    from likewise.methods import METHODS

    files = [
        path for room in ("training", "evaluation", "report", "data", "views") for path in (SOURCE / room).rglob("*.py")
    ]
    for path in files:
        if path.name != "recipe.py":  # a recipe's method has a default
            nodes = ast.walk(ast.parse(path.read_text()))
            strings = {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}
            assert not strings & set(METHODS), path


def test_importing_the_package_or_asking_for_help_loads_no_torch() -> None:
    for code in ("import likewise", "from likewise.cli import main; assert main(['--help']) == 0"):
        loaded = subprocess.run(
            [sys.executable, "-c", f"{code}; import sys; print('torch' in sys.modules)"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert loaded.stdout.splitlines()[-1] == "False"


def test_every_public_name_is_there_and_documented() -> None:
    for name in likewise.__all__:
        assert getattr(likewise, name).__doc__, name
    assert set(likewise.__all__) <= set(dir(likewise))


def test_every_dependency_is_used_and_has_a_tested_pin() -> None:
    names = {"pillow": "PIL", "pyyaml": "yaml", "scikit-learn": "sklearn"}
    through_others = {"tensorboardX": "TensorBoardLogger"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [re.split(r"[<>=]", line)[0] for line in project["dependencies"]]
    code = "\n".join(path.read_text() for path in SOURCE.rglob("*.py"))
    pins = (ROOT / "constraints.txt").read_text().lower()
    for name in wanted:
        module = names.get(name, name)
        used = through_others.get(name) or rf"^\s*(import|from) {module}\b"
        assert re.search(used, code, re.MULTILINE), f"{name} is not used"
        assert f"\n{name.lower()}==" in pins, f"{name} has no pin"
