"""The house's rules: imports point one way, the package loads lazily, every dependency is used."""

from __future__ import annotations

import ast
import itertools
import re
import subprocess
import sys
import tomllib
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import likewise

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "likewise"
FLOOR = {
    *("atomic", "checks", "console", "distributed", "errors", "http_server", "own_files", "ray_cluster", "registry"),
    "seeding",
}
ROOMS = (
    "losses",
    "views",
    "runs",
    "encoders",
    "data",
    "modules",
    "methods",
    "training",
    "tasks",
    "evaluation",
    "modalities",
)
MAY_IMPORT = {
    **{name: set() for name in FLOOR},
    "runs": set(),
    "losses": set(),
    "views": set(),
    "encoders": {"views.mel"},
    "data": set(),
    "modules": {"losses", "encoders"},
    "methods": {"losses", "views", "encoders", "data", "modules", "runs"},
    "training": {"losses", "data", "methods.base", "runs"},
    "tasks": set(),
    "evaluation": {"tasks", "training", "data", "methods.base", "modules.inner_loop", "views.mel", "runs"},
    "modalities": {"evaluation", "methods", "encoders", "data", "views", "training", "runs"},
    "exporters": {"runs", "encoders", "modalities", "evaluation", "data"},
    "report": {"runs"},
    "explanations": {"data.source", "encoders.base", "evaluation", "views", "report.pieces", "report.sounds"},
    "agents": {"encoders", "losses", "modalities", "modules", "runs", "training", "views"},
    "index": {"data", "runs"},
    "tuning": {"methods.base", "report", "runs", "training"},
    "cleaning": {"data", "evaluation", "modules.kmeans", "runs", "report.contact_sheet", "report.sprites"},
    "explorer": {
        *("cleaning", "data", "evaluation", "modules.kmeans", "runs"),
        *("report.embedding_map", "report.sounds", "report.sprites"),
    },
    "serving": {"data", "evaluation", "modalities", "runs", "tasks"},
    "sklearn": {"modalities"},
    "commands": {
        *ROOMS,
        "agents",
        "cleaning",
        "explanations",
        "explorer",
        "exporters",
        "index",
        "report",
        "serving",
        "tuning",
        "__version__",
    },
    "cli": {"__version__"},  # it names the commands by strings
    "__init__": {"commands", "modalities.run"},  # for type checkers; at run time by strings
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


def files_of(room: str) -> list[Path]:
    return [SOURCE / f"{room}.py"] if (SOURCE / f"{room}.py").exists() else list((SOURCE / room).rglob("*.py"))


def test_every_file_and_folder_has_its_place() -> None:
    there = {path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert there == set(MAY_IMPORT)


def test_imports_point_one_way() -> None:
    wrong = []
    for room, allowed in MAY_IMPORT.items():
        for path in files_of(room):
            for module in imports(path):
                allowed_here = allowed | FLOOR | {room}
                if not any(module == name or module.startswith(f"{name}.") for name in allowed_here):
                    wrong.append(f"{path.relative_to(SOURCE)} imports {module}")
    assert wrong == []


def test_no_rooms_import_each_other_in_a_circle() -> None:
    rooms = {
        room: {name.partition(".")[0] for name in allowed} & set(MAY_IMPORT) for room, allowed in MAY_IMPORT.items()
    }
    TopologicalSorter(rooms).prepare()  # raises CycleError


def test_no_files_import_each_other_in_a_circle() -> None:
    """Imports for type checkers apart, which no program runs."""
    graph: dict[str, set[str]] = {}
    for path in SOURCE.rglob("*.py"):
        name = ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        tree = ast.parse(path.read_text())
        for node in [
            node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        ]:
            node.body = [ast.Pass()]
        graph[name] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("likewise."):
                module = (node.module or "").removeprefix("likewise.")
                below = {f"{module}.{alias.name}" for alias in node.names}
                graph[name] |= {each if file_of(each) else module for each in below} - {name}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def file_of(module: str) -> bool:
    path = SOURCE / Path(*module.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def test_data_and_the_floor_know_no_modality_by_import() -> None:
    """They find it in the registry, by name."""
    for path in [*(SOURCE / "data").rglob("*.py"), *(SOURCE / f"{name}.py" for name in FLOOR)]:
        assert not any(module.startswith("modalities") for module in imports(path)), path


def test_the_command_line_names_commands_by_strings() -> None:
    assert imports(SOURCE / "cli.py") <= {"errors", "console", "__version__"}
    from likewise.cli import COMMANDS

    for target in COMMANDS.values():
        module, _, function = target.partition(":")
        assert module.startswith("likewise.commands.")
        assert (SOURCE / Path(*module.split(".")[1:]).with_suffix(".py")).is_file()
        assert function in likewise.__all__


def test_a_verb_imports_what_is_slow_in_one_block() -> None:
    """In `commands/`, only the function of a verb imports inside itself, at its beginning; results import rich."""
    from likewise.cli import COMMANDS

    verbs = dict(target.removeprefix("likewise.commands.").split(":") for target in COMMANDS.values())
    wrong = []
    for path in (SOURCE / "commands").glob("*.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef):
                continue
            body = function.body[1:] if ast.get_docstring(function) else function.body
            block = list(itertools.takewhile(lambda node: isinstance(node, ast.Import | ast.ImportFrom), body))
            nested = [node for node in ast.walk(function) if isinstance(node, ast.Import | ast.ImportFrom)]
            of_rich = all(isinstance(node, ast.ImportFrom) and node.module.startswith("rich") for node in nested)
            allowed = of_rich if function.name == "__rich__" else verbs.get(path.stem) == function.name
            if nested and not (allowed and nested == block):
                wrong.append(f"{path.name}: {function.name}")
    assert wrong == []


def test_no_two_classes_have_one_name() -> None:
    homes: dict[str, list[str]] = {}
    for path in SOURCE.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(str(path.relative_to(SOURCE)))
    assert {name: files for name, files in homes.items() if len(files) > 1} == {}


def test_one_file_knows_of_processes() -> None:
    knows = re.compile(r"torch\.distributed|\bdist\.|LOCAL_RANK")
    files = {path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py") if knows.search(path.read_text())}
    assert files == {"distributed.py"}


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
    extras = project["optional-dependencies"]
    for_users = [line for name in extras.keys() - {"all", "bench", "dev", "docs"} for line in extras[name]]
    wanted = [re.split(r"[\[<>=]", line)[0] for line in (*project["dependencies"], *for_users)]
    code = "\n".join(path.read_text() for path in SOURCE.rglob("*.py"))
    pins = (ROOT / "constraints.txt").read_text().lower()
    for name in wanted:
        module = names.get(name, name.replace("-", "_"))
        # Packages of extras are imported where they are used, some by their names.
        used = through_others.get(name) or rf"^\s*(import|from) {module}\b|\"{module}[\".]"
        assert re.search(used, code, re.MULTILINE), f"{name} is not used"
        assert f"\n{name.lower()}==" in pins, f"{name} has no pin"


def test_names_of_test_files_are_unique() -> None:
    """The folders of tests are no packages: pytest imports a file by its name alone."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("*.py") if path.name != "conftest.py")
    assert [name for name, count in names.items() if count > 1] == []
