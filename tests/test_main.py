"""The command line: what is typed reaches the library, and what goes wrong is one sentence with exit code 2."""

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from wsss_lib.__main__ import main
from wsss_lib.experiments import doctor, notebooks, runner
from wsss_lib.experiments.doctor import Finding
from wsss_lib.experiments.places import NOTEBOOKS, Places


class Recorder:
    """Stands in for a function of the library and keeps what it was called with."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        self.error = error

    def __call__(self, *arguments: Any, **named: Any) -> None:
        self.calls.append((arguments, named))
        if self.error:
            raise self.error


def test_reproduce_passes_on_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runner, "reproduce", called := Recorder())
    (tmp_path / "data").mkdir()
    where = ["--profile", "smoke", "--data", str(tmp_path / "data"), "--build", str(tmp_path / "build")]
    assert main(["reproduce", *where, "--force", "--systems", "finished", "--at-once", "3"]) == 0
    places = Places(profile="smoke", data=tmp_path / "data", build=tmp_path / "build")
    assert called.calls == [((places,), {"systems": "finished", "force": True, "at_once": 3})]


def test_toy_and_the_build_folder_beside_the_notebooks_are_the_default(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runner, "reproduce", called := Recorder())
    assert main(["reproduce"]) == 0
    places = Places(profile="toy", build=NOTEBOOKS.parent / "build")
    assert called.calls == [((places,), {"systems": None, "force": False, "at_once": None})]


def test_run_reads_parameters(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(notebooks, "find_notebook", Path)
    monkeypatch.setattr(runner, "run_notebooks", called := Recorder())
    assert main(["run", "5", "--set", "rounds=3", "--set", "name=cam=x", "--set", "rates=[0.5, 1]"]) == 0
    [((chosen, places), named)] = called.calls
    assert (chosen, places.profile) == ([Path("5")], "toy")
    assert named == {"parameters": {"rounds": 3, "name": "cam=x", "rates": [0.5, 1]}, "force": False}
    assert main(["run", "5", "--systems", "psa,sec"]) == 0
    assert called.calls[-1][1]["parameters"] == {"systems": "psa,sec"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["reproduce", "--profile", "toi"], "did you mean 'toy'"),
        (["reproduce", "--data", "no/such/folder"], "is not there; pass --data"),
        (["run", "05_segmentatoin"], "did you mean '05_segmentation'"),
        (["run", "5", "--set", "rounds"], "'rounds' is not of the form name=value"),
        (["data", "chek", "--data", "."], "did you mean 'check'"),
        (["data", "check", "camvid", "--data", "."], "not at 'camvid' alone; leave names out"),
        (["data", "fetch", "cityscapes", "--data", "."], "may not be fetched by a program: register"),
        (["data", "fetch", "--data", "."], "known are camvid, voc2012"),
        (["make", "systems", "--processes", "2", "--at-once", "2"], "pass --processes or --at-once, not both"),
        (["make", "--profile", "smoke"], "name the stages to make, for instance segmentation; there are classifier, "),
        (["make", "sistems", "--at-once", "2", "--profile", "smoke"], "did you mean 'systems'"),
        (["predict", "--images", ".", "--out", "out", "--build", "no/such/build"], "has no trained network in"),
    ],
)
def test_mistakes_are_one_sentence(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]):
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("wsss: ")
    assert sentence in printed.err
    assert printed.err.count("\n") == 1


def test_under_torchrun_processes_train_together(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    for name, value in (("TORCHELASTIC_RUN_ID", "none"), ("WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    assert main(["make", "systems", "--at-once", "2", "--profile", "smoke"]) == 2
    assert "no --at-once under torchrun" in capsys.readouterr().err


def test_interruption(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(runner, "reproduce", Recorder(error=KeyboardInterrupt()))
    assert main(["reproduce"]) == 130
    assert "goes on from the last finished stage" in capsys.readouterr().err


def test_bugs_are_not_hidden(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runner, "reproduce", Recorder(error=ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        main(["reproduce"])


@pytest.mark.parametrize(("fine", "code"), [(True, 0), (False, 1)])
def test_doctor_exits_with_what_it_found(
    fine: bool, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(doctor, "examine", lambda _: [Finding(name="torch", found="2.8", fine=fine)])
    assert main(["doctor"]) == code
    assert capsys.readouterr().out.split() == ["OK" if fine else "FAIL", "torch", "2.8"]


def test_data_check_fails_on_errors_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["data", "check", "--data", str(tmp_path)]) == 0
    assert "warning  camvid: not there" in capsys.readouterr().out
    assert main(["data", "check", "--data", str(tmp_path / "nowhere")]) == 1
    assert "error    data: there is no folder" in capsys.readouterr().out


def test_data_is_fetched_to_where_runs_look_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "data").mkdir()
    monkeypatch.setattr("wsss_lib.data.fetch.fetch", called := Recorder())
    assert main(["data", "fetch", "camvid", "--data", str(tmp_path)]) == 0
    assert called.calls == [(("camvid", tmp_path / "data"), {})]


def test_a_leading_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The shell leaves it alone behind ``--out=``."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("wsss_lib.segmentation.predict.predict_folder", called := Recorder(KeyboardInterrupt()))
    assert main(["predict", "--images", ".", "--out=~/labels", "--model", "."]) == 130
    assert called.calls[0][0][2] == tmp_path / "labels"


def test_names_that_are_no_text_are_printed_escaped(tmp_path: Path):
    (tmp_path / "caf\udce9").mkdir()
    command = [sys.executable, "-m", "wsss_lib", "data", "check", "--data", str(tmp_path / "caf\udce9" / "none")]
    strict = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    answer = subprocess.run(command, capture_output=True, cwd=NOTEBOOKS.parent, env=strict, check=False)
    assert (answer.returncode, answer.stderr) == (1, b"")
    assert rb"caf\udce9" in answer.stdout


def test_lab_is_for_this_machine_only_and_knows_where_things_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "execve", called := Recorder())
    main(["lab", "--profile", "smoke", "--build", str(tmp_path)])
    [((program, arguments, environment), _)] = called.calls
    assert program == sys.executable
    assert "--ServerApp.ip=127.0.0.1" in arguments
    assert not any("token" in argument for argument in arguments)
    assert f"--ServerApp.root_dir={NOTEBOOKS}" in arguments
    assert Places.from_environment(environment) == Places(profile="smoke", build=tmp_path)


def test_unknown_command_lists_the_commands(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stopped:
        main(["reprodcue"])
    assert stopped.value.code == 2
    assert "reproduce" in capsys.readouterr().err


def test_help_is_quick_because_nothing_heavy_is_imported():
    script = "import sys, wsss_lib.__main__; print(sorted({'torch', 'papermill', 'pandas', 'cv2'} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"


def test_predict_ends_with_1_where_a_picture_was_skipped(monkeypatch, tmp_path, capsys):
    for lines, code in ((["a.png"], 0), (["a.png", "skipped: b.png cannot be read"], 1)):
        monkeypatch.setattr("wsss_lib.segmentation.predict.predict_folder", lambda *_, lines=lines, **__: lines)
        assert main(["predict", "--images", ".", "--out", str(tmp_path / "out"), "--model", "."]) == code
    assert capsys.readouterr().err == "wsss: 1 pictures could not be read and were skipped\n"


@pytest.mark.parametrize("crf", [False, True])
def test_predict_passes_on_whether_outlines_follow_the_colours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crf: bool
):
    given: list[dict[str, Any]] = []
    monkeypatch.setattr("wsss_lib.segmentation.predict.predict_folder", lambda *_, **named: given.append(named) or [])
    arguments = ["predict", "--images", ".", "--out", str(tmp_path / "out"), "--model", "."]
    assert main([*arguments, "--crf"] if crf else arguments) == 0
    assert given == [{"crf": crf}]


def test_a_folder_for_predictions_that_is_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "out"
    read_only = OSError(errno.EROFS, "Read-only file system", str(out / "overlays"))
    monkeypatch.setattr("wsss_lib.segmentation.predict.predict_folder", Recorder(read_only))
    assert main(["predict", "--images", ".", "--out", str(out), "--model", "."]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"wsss: {out} cannot be written to; pass --build (fit and predict: --out)")
    assert said.count("\n") == 1


def test_asking_for_the_state_of_the_rehearsal_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    where = ["--profile", "paper-dry", "--build", str(tmp_path / "build")]
    assert main(["status", *where]) == 0
    assert "textures that stand for data are not written yet" in capsys.readouterr().out
    assert main(["why", "clustering", *where]) == 2
    assert "textures that stand for data are not written yet" in capsys.readouterr().err
    assert not (tmp_path / "build").exists()


def test_a_reader_that_stops_reading_gets_no_traceback(tmp_path: Path):
    command = [sys.executable, "-m", "wsss_lib", "status", "--build", str(tmp_path)]
    reader, writer = os.pipe()
    os.close(reader)
    answer = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, cwd=NOTEBOOKS.parent, check=False)
    os.close(writer)
    assert (answer.returncode, answer.stderr) == (141, b"")


def test_another_pipe_that_breaks_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runner, "reproduce", Recorder(BrokenPipeError("of a process")))
    with pytest.raises(BrokenPipeError, match="of a process"):
        main(["reproduce"])
