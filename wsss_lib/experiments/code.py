"""Which code makes a stage, as a fingerprint in its key: a result is found stale as soon as the code behind it changes.

Counted are the modules that do the work of a stage and everything of ours that they import, however far away. What
does not decide about a result does not count: comments, docstrings, layout, and all of ``reporting``, which no stage
imports. Of the libraries, the versions of those that compute count.
"""

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

import wsss_lib
from wsss_lib.baselines.registry import SYSTEMS
from wsss_lib.vocabulary import SettingsError

PACKAGE = Path(wsss_lib.__file__).parent
LIBRARIES = ("torch", "torchvision", "numpy", "scipy", "scikit-image", "opencv-contrib-python-headless", "pillow")

MADE_BY: dict[str, tuple[str, ...]] = {
    "classifier": ("classification.classifier",),
    "superpixels": ("regions.superpixels",),
    "class_maps": ("localization.patches",),
    "seeds": ("localization.patches", "regions.pooling", "clustering.seeds"),
    "region_features": ("clustering.region_features",),
    "clustering": ("clustering.rounds",),
    "segmentation": ("segmentation.pseudo_labels", "segmentation.networks", "segmentation.training"),
    "predictions": ("segmentation.predict",),
    "confusion": (
        "localization.patches",
        "segmentation.pseudo_labels",
        "evaluation.confusion",
        "evaluation.references",
    ),
}
"""Stage -> the modules that do its work. A system of the comparison is made by its own file in ``baselines``."""


def code_of(stage: str, callers: Sequence[Callable[..., object]], system: str = "") -> str:
    """16 hexadecimal digits for the code behind a stage: its functions that call the modules, and these.

    ``system`` names a system of the comparison. ``SettingsError`` for a stage that nothing is known of.
    """
    if stage not in MADE_BY and not system:
        raise SettingsError(f"nothing says which code makes the stage {stage!r}; add it to MADE_BY")
    callers = [*callers, SYSTEMS[system]] if system else callers
    modules = [SYSTEMS[system].__module__] if system else [f"wsss_lib.{module}" for module in MADE_BY[stage]]
    digest = hashlib.sha256(_versions().encode())
    for caller in callers:
        digest.update(without_words(ast.parse(textwrap.dedent(inspect.getsource(caller)))).encode())
    for name in sorted(reached(tuple(module for module in modules if module.startswith("wsss_lib.")))):
        digest.update(f"{name}\n{statements(file_of(name))}\n".encode())
    return digest.hexdigest()[:16]


@cache
def reached(modules: tuple[str, ...]) -> frozenset[str]:
    """The modules of ours that these import, directly or not, and they themselves."""
    found, waiting = set(), list(modules)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += imports_of(file_of(name))
    return frozenset(found)


def imports_of(file: Path) -> list[str]:
    """Our own modules that a file names in its import statements."""
    names = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        match node:
            case ast.ImportFrom(module=str(module), level=0):
                names += [module, *(f"{module}.{alias.name}" for alias in node.names)]
            case ast.Import():
                names += [alias.name for alias in node.names]
    return [name for name in names if name.startswith("wsss_lib.") and _exists(name)]


@cache
def statements(file: Path) -> str:
    """What a file does: its syntax tree without docstrings; comments and layout are no part of it."""
    return without_words(ast.parse(file.read_text(encoding="utf-8")))


def without_words(tree: ast.Module) -> str:
    """A syntax tree as text, its docstrings taken out."""
    for node in list(_documented(tree)):
        node.body = node.body[1:]
    return ast.dump(tree)


def _documented(tree: ast.Module) -> Iterator[ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            match node.body[0]:
                case ast.Expr(value=ast.Constant(value=str())):
                    yield node


def file_of(module: str) -> Path:
    """The file of one of our modules or packages."""
    path = PACKAGE.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _exists(name: str) -> bool:
    return file_of(name).is_file()


@cache
def _versions() -> str:
    return ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
