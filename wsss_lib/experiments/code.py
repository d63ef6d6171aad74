"""Which code makes a stage, as fingerprints in its key: a result is found stale as soon as the code behind it changes.

Counted are the modules that do the work of a stage and everything of ours that they import, however far away, the
readers of its pictures among them; the function that makes the stage, with the methods and functions of its own module
and of the other ``GLUE`` that it uses; and of the libraries the versions of those that compute. What does not decide
about a result does not count: comments, docstrings, layout, and all of ``reporting``, which no stage imports.

Files are read when this module is imported, not when a stage is asked for: who edits the library while it trains does
not change what the trained network is said to be made by.
"""

import ast
import hashlib
import inspect
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

import wsss_lib
from wsss_lib.baselines.registry import SYSTEMS
from wsss_lib.experiments.provenance import OPENCV, installed
from wsss_lib.vocabulary import SettingsError

PACKAGE = Path(wsss_lib.__file__).parent
LIBRARIES = ("torch", "torchvision", "numpy", "scipy", "scikit-image", OPENCV, "pillow")

MADE_BY: dict[str, tuple[str, ...]] = {
    "classifier": ("classification.classifier",),
    "superpixels": ("regions.superpixels",),
    "class_maps": ("localization.patches",),
    "seeds": ("localization.patches", "regions.pooling", "clustering.seeds"),
    "region_features": ("clustering.region_features",),
    "cuttings": ("regions.cuttings",),
    "collages": ("clustering.collages", "clustering.region_features", "regions.superpixels", "regions.cuttings"),
    "clustering": ("clustering.rounds",),
    "segmentation": ("segmentation.pseudo_labels", "segmentation.networks", "segmentation.training"),
    "full_supervision": ("segmentation.networks", "segmentation.training"),
    "system": ("localization.patches", "clustering.seeds", "segmentation.pseudo_labels", "regions.flow"),
    "predictions": ("segmentation.predict",),
    "confusion": (
        "localization.patches",
        "segmentation.pseudo_labels",
        "evaluation.confusion",
        "evaluation.references",
    ),
}
"""Stage -> the modules that do its work. A system of the comparison is made by its own file in ``baselines`` as well,
from the heat, seeds and flow that these modules give it."""


READ_BY: dict[str, tuple[str, ...]] = {
    "toy_streets": ("data.toy",),
    "toy_scenes": ("data.toy",),
    "camvid": ("data.camvid", "data.simple_images"),
    "cityscapes": ("data.cityscapes", "data.imagenet", "data.simple_images"),
    "msrc21": ("data.msrc21",),
    "voc2012": ("data.voc2012",),
    "own": ("data.folder", "data.simple_images"),
}
"""Reader of a source -> the modules that read its pictures, labels and tags."""

GLUE = tuple(
    f"wsss_lib.experiments.{name}"
    for name in ("pipeline", "class_maps", "region_views", "collages", "segmentation", "counting", "inputs")
)
"""The modules that put the work together. What one of them imports from another is followed into it."""

_PLUMBING = {"artefact", "progress"}
"""Methods that a stage calls and that do not decide about its result."""


def code_of(stage: str, make: Callable[..., object], *, system: str = "", reader: str = "") -> dict[str, str]:
    """What the code behind a stage is, by name: versions of libraries, eight hexadecimal digits for everything of ours.

    ``make`` makes the stage from the modules; ``system`` names a system of the comparison, ``reader`` that of the
    pictures. ``SettingsError`` for a stage or reader that nothing is known of.
    """
    if stage not in MADE_BY:
        raise SettingsError(f"nothing says which code makes the stage {stage!r}; add it to MADE_BY")
    if reader and reader not in READ_BY:
        raise SettingsError(f"nothing says which code reads {reader!r}; add it to READ_BY")
    modules = [f"wsss_lib.{module}" for module in (*MADE_BY[stage], *READ_BY.get(reader, ()))]
    modules += [SYSTEMS[system].__module__] if system else []
    found = reached(tuple(name for name in modules if name.startswith("wsss_lib.")))
    texts = {name.removeprefix("wsss_lib."): statements(file_of(name)) for name in sorted(found)} | glue(make)
    if system:  # perhaps one that a reader has registered from elsewhere
        texts |= glue(SYSTEMS[system])
    return {**versions(), **{name: _digest(text) for name, text in texts.items()}}


def glue(make: Callable[..., object]) -> dict[str, str]:
    """Name -> statements of a function, of all functions and methods of its own module that it uses, however deep, and
    of those of other ``GLUE`` that these import.

    A function inside another one counts as that other one, a partial one as what it calls. A method is used where its
    name is an attribute of anything, because ``self`` cannot be told from its other names; but only if what is used
    names its class, or one that has a field of that class: nothing else can come by an object of it.
    """
    make = make.func if isinstance(make, partial) else make
    return _glue(Path(inspect.getfile(make)), make.__qualname__.partition(".<locals>")[0])


@cache
def _glue(file: Path, path: str) -> dict[str, str]:
    used: dict[tuple[Path, str], str] = {}
    reach, names, waiting = _within_reach(file), set(_fields(file)), [(file, path)]
    fields = {owner: of for where, _ in reach for owner, of in _fields(where).items()}
    while waiting:
        for where, each in waiting:
            node = _functions(where)[each]
            used[where, each] = without_words(node)
            names |= set(_names(node)) - _PLUMBING
        for _ in fields:  # a field of a field of ...
            names |= {name for owner in names & fields.keys() for name in fields[owner]}
        waiting = [each for each in reach if each not in used and _called(each[1], names)]
    paths = [path for _, path in used]
    return {
        path if paths.count(path) == 1 else f"{file.stem}.{path}": text for (file, path), text in sorted(used.items())
    }


def _called(path: str, names: set[str]) -> bool:
    """Whether code with these names can call a function or, where it has the class too, a method by its path."""
    owner, _, name = path.rpartition(".")
    return name in names and (not owner or owner in names)


@cache
def _within_reach(file: Path) -> list[tuple[Path, str]]:
    """Functions and methods of a file and of all other ``GLUE`` that it imports, directly or not."""
    files, waiting = [], [file]
    while waiting:
        file = waiting.pop()
        if file not in files:
            files.append(file)
            waiting += [file_of(module) for module in imports_of(file) if module in GLUE]
    return [(each, path) for each in files for path in _functions(each)]


@cache
def _functions(file: Path) -> dict[str, ast.FunctionDef]:
    """The functions and methods of a file by path, such as ``Stages.seeds``."""
    found = {}
    for node in ast.parse(_text(file)).body:
        inside, prefix = (node.body, f"{node.name}.") if isinstance(node, ast.ClassDef) else ([node], "")
        found |= {prefix + each.name: each for each in inside if isinstance(each, ast.FunctionDef)}
    return found


@cache
def _fields(file: Path) -> dict[str, frozenset[str]]:
    """Class of a file -> all names in what its fields are said to be."""
    return {
        node.name: frozenset(name for each in node.body if isinstance(each, ast.AnnAssign) for name in _named(each))
        for node in ast.parse(_text(file)).body
        if isinstance(node, ast.ClassDef)
    }


def _names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name) | ast.Name(id=name):
                yield name
            case ast.arg(annotation=ast.Constant(value=str(name))):
                yield name


def _named(field: ast.AnnAssign) -> Iterator[str]:
    """Names in an annotation, those of it that is a string among them."""
    for node in ast.walk(field.annotation):
        match node:
            case ast.Name(id=name) | ast.Constant(value=str(name)):
                yield name


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


@cache
def imports_of(file: Path) -> list[str]:
    """Our own modules that a file names in its import statements."""
    names = []
    for node in ast.walk(ast.parse(_text(file))):
        match node:
            case ast.ImportFrom(module=str(module), level=0):
                names += [module, *(f"{module}.{alias.name}" for alias in node.names)]
            case ast.Import():
                names += [alias.name for alias in node.names]
    return [name for name in names if name.startswith("wsss_lib.") and _exists(name)]


@cache
def statements(file: Path) -> str:
    """What a file does: its syntax tree without docstrings; comments and layout are no part of it."""
    return without_words(ast.parse(_text(file)))


def without_words(tree: ast.AST) -> str:
    """A syntax tree as text, its docstrings taken out."""
    for node in list(_documented(tree)):
        node.body = node.body[1:]
    return ast.dump(tree)


def _documented(tree: ast.AST) -> Iterator[ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            match node.body[0]:
                case ast.Expr(value=ast.Constant(value=str())):
                    yield node


def _text(file: Path) -> str:
    """A file of ours as it was when the library was loaded, any other as it is."""
    return _LOADED[file] if file in _LOADED else file.read_text(encoding="utf-8")


_LOADED = {file: file.read_text(encoding="utf-8") for file in PACKAGE.rglob("*.py")}


def file_of(module: str) -> Path:
    """The file of one of our modules or packages."""
    path = PACKAGE.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _exists(name: str) -> bool:
    return file_of(name).is_file()


@cache
def versions() -> dict[str, str]:
    """Name -> version of the libraries that compute, as they are installed."""
    return {name: installed(name) or "not installed" for name in LIBRARIES}
