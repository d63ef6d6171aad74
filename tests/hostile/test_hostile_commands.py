"""Hostile arguments through the command line: one sentence and exit code 2, or tyro's usage; nothing is left behind.

Every option that takes a word, a number or a path gets every hostile value, the others of its command are healthy.
Values that are a legal answer to an option (a new folder for ``--out``, say) are left out there.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hostile.test_hostile_files import CASES as FILE_CASES
from tests.hostile.test_hostile_files import LIMIT, within
from wsss_lib.__main__ import main
from wsss_lib.experiments import kernel

LONG = "a" * 5000
WORDS = ("", " ", "\x00", "a\nb", "$(touch pwned)", "'\"<b>&", "../../etc/passwd", "/dev/null", "\U0001f4a5", LONG)
SHAPED = (*WORDS, "None")
NUMBERS = ("-1", "0", "1e999", "nan", "2.5", "0x10", "\uff19", "")
UNSHOWABLE = ("\x00", "a\nb", "\x1b[31m", LONG, "x/" + LONG)
NO_FOLDERS = (
    *UNSHOWABLE,
    "no such folder",
    "file.txt",
    "file.txt/x",
    "/dev/null",
    "../../etc/passwd",
    "$(touch pwned)",
)
NO_MODELS = (*NO_FOLDERS, "empty", "texts")

FIT = {"--images": "pictures", "--tags": "tags.csv", "--simple-images": "texts", "--out": "out"}
PREDICT = {"--images": "pictures", "--out": "out", "--model": "texts"}
SMOKE = ["--profile", "smoke", "--build", "build"]
CAMVID = ["--profile", "camvid", "--build", "build"]


def with_one(command: str, options: dict[str, str], name: str) -> Callable[[str], list[str]]:
    def arguments(value: str) -> list[str]:
        return [command, *(word for option in {**options, name: value}.items() for word in option)]

    return arguments


OPTIONS: dict[str, tuple[Callable[[str], list[str]], tuple[str, ...]]] = {
    "reproduce --profile": (lambda value: ["reproduce", "--profile", value], SHAPED),
    "reproduce --data": (lambda value: ["reproduce", *CAMVID, "--data", value], (*NO_FOLDERS, "empty", "texts")),
    "reproduce --weights": (lambda value: ["reproduce", *CAMVID, "--data", "real", "--weights", value], NO_MODELS),
    "reproduce --build": (lambda value: ["reproduce", "--profile", "smoke", "--build", value], UNSHOWABLE),
    "reproduce --systems": (lambda value: ["reproduce", *SMOKE, "--systems", value], WORDS),
    "reproduce --at-once": (lambda value: ["reproduce", *SMOKE, "--at-once", value], NUMBERS),
    "run": (lambda value: ["run", value, *SMOKE], (*SHAPED, *NUMBERS, "99")),
    "run --set": (lambda value: ["run", "5", *SMOKE, "--set", value], (*SHAPED, "a-b=1", "=1", "5=5", "nonsense=1")),
    "run --systems": (
        lambda value: ["run", "5", *SMOKE, "--systems", value],
        (*WORDS, "psa,,sec", "psa;sec", "psa sec"),
    ),
    "make": (lambda value: ["make", value, *SMOKE], SHAPED),
    "make --processes": (lambda value: ["make", "classifier", *SMOKE, "--processes", value], NUMBERS),
    "make --at-once": (lambda value: ["make", "classifier", *SMOKE, "--at-once", value], NUMBERS),
    "plan": (lambda value: ["plan", value], SHAPED),
    "plan --data": (lambda value: ["plan", "camvid", "--data", value], NO_FOLDERS),
    "status --profile": (lambda value: ["status", "--profile", value], SHAPED),
    "why": (lambda value: ["why", value, *SMOKE], SHAPED),
    "why --build": (lambda value: ["why", "seeds", "--profile", "smoke", "--build", value], UNSHOWABLE),
    "predict --images": (with_one("predict", PREDICT, "--images"), NO_FOLDERS),
    "predict --model": (with_one("predict", PREDICT, "--model"), NO_MODELS),
    "predict --out": (with_one("predict", PREDICT, "--out"), UNSHOWABLE),
    "fit --images": (with_one("fit", FIT, "--images"), (*NO_FOLDERS, "empty", "texts")),
    "fit --tags": (with_one("fit", FIT, "--tags"), (*NO_FOLDERS, "empty", "texts/a.png")),
    "fit --simple-images": (with_one("fit", FIT, "--simple-images"), NO_MODELS),
    "fit --out": (with_one("fit", FIT, "--out"), UNSHOWABLE),
    "fit --weights": (with_one("fit", FIT, "--weights"), NO_FOLDERS),
    "fit --labels": (with_one("fit", FIT, "--labels"), NO_FOLDERS),
    "fit --classes": (with_one("fit", FIT, "--classes"), SHAPED),
    "fit --network": (with_one("fit", FIT, "--network"), SHAPED),
    "fit --method": (with_one("fit", FIT, "--method"), SHAPED),
    "fit --steps": (with_one("fit", FIT, "--steps"), NUMBERS),
    "publish --build": (lambda value: ["publish", "--profile", "smoke", "--build", value], (*NO_FOLDERS, "empty")),
    "data": (lambda value: ["data", value], SHAPED),
    "data check --data": (lambda value: ["data", "check", "--data", value], UNSHOWABLE),
    "data fetch": (lambda value: ["data", "fetch", value, "--data", "new"], SHAPED),
    "doctor --build": (lambda value: ["doctor", "--build", value], UNSHOWABLE),
}
CASES = [(option, value) for option, (_, values) in OPTIONS.items() for value in dict.fromkeys(values)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file, an empty folder, one whose pictures are text, and one with tags that fit."""
    folder = tmp_path_factory.mktemp("hostile commands")
    (folder / "file.txt").write_text("x")
    (folder / "empty").mkdir()
    for name in ("texts", "pictures"):
        (folder / name).mkdir()
        (folder / name / "a.png").write_text("no picture")
    for name in ("camvid", "msrc21"):
        (folder / "real" / name).mkdir(parents=True)
    (folder / "tags.csv").write_text("name,tags\na,Road\n")
    return folder


@pytest.mark.parametrize(("option", "value"), CASES, ids=lambda text: text if len(text) < 40 else text[:40])
def test_a_hostile_argument(
    folder: Path, option: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def started(*_: object, **__: object) -> None:
        raise AssertionError("a notebook was started")

    monkeypatch.chdir(folder)
    monkeypatch.setattr(kernel, "MemoryWatch", started)
    before = contents(folder)
    arguments, code = OPTIONS[option][0](value), None
    with within(LIMIT), contextlib.suppress(SystemExit):
        code = main(arguments)
    said = capsys.readouterr().err
    if code is None:  # tyro's own answer, a box with the usage
        assert "wsss" in said
    else:
        assert code == 2
        assert said.startswith("wsss: ")
        assert said.count("\n") == 1
        assert len(said) > 25
    assert "Traceback" not in said
    assert contents(folder) == before


def contents(folder: Path) -> dict[str, bytes]:
    """Every file and folder (which has no bytes), locks aside."""
    paths = [path for path in folder.rglob("*") if ".locks" not in path.parts]
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"" for path in paths}


def test_there_are_at_least_three_hundred_of_them_and_the_readme_counts_them():
    assert len(set(CASES)) >= 300
    readme = " ".join((Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8").split())
    assert f"{len(FILE_CASES)} damaged files through every door and {len(CASES)} hostile arguments" in readme
