"""The command line: ``wsss <command>``, or ``python -m wsss_lib <command>``.

Each command is a few lines that call the library; what it needs is imported when it runs, so that ``--help`` is quick.
Exit codes: 0 all went well, 1 ``doctor`` or ``data check`` found something or ``predict`` skipped a picture, 2 a clear
error, 130 interrupted, 141 nobody reads the output any more (``wsss status | head``).
"""

import ast
import io
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tyro.constructors import PrimitiveConstructorSpec

from wsss_lib.data.disk import check_path
from wsss_lib.experiments.places import NOTEBOOKS, Places
from wsss_lib.vocabulary import DataError, SettingsError, WsssError

app = tyro.extras.SubcommandApp()

AnyPath = Annotated[
    Path,
    PrimitiveConstructorSpec(
        nargs=1,
        metavar="PATH",
        instance_from_str=lambda given: check_path(Path(given[0]).expanduser()),
        is_instance=lambda value: isinstance(value, Path),
        str_from_instance=lambda path: [str(path)],
    ),
]
"""A path as it is typed, a leading ~ for the home folder; one that no file system could have is refused."""


@dataclass(frozen=True, kw_only=True)
class Where:
    """Which sizes, and where things are."""

    profile: str = "toy"
    """Sizes and data: smoke, toy, camvid, paper, or paper-dry, its rehearsal; camvid-plus, ... go beyond the paper,
    camvid-seeds repeats every training."""
    data: AnyPath | None = None
    """Folder with the data sets; the toy profile draws its own."""
    weights: AnyPath | None = None
    """Folder with pretrained weights."""
    build: AnyPath | None = None
    """Folder for results; build/ beside the notebooks unless given."""

    def places(self) -> Places:
        """The same, checked."""
        from wsss_lib.experiments.profiles import load_profile

        load_profile(self.profile)
        given = {"build": self.build} if self.build else {}
        return Places(profile=self.profile, data=self.data, weights=self.weights, **given)


Settings = Annotated[Where, tyro.conf.arg(name="")]


@app.command
def reproduce(
    where: Settings = Where(), force: bool = False, systems: str | None = None, at_once: int | None = None
) -> int:
    """Make all stages, run all notebooks in order and print the verdict.

    Args:
        where: Which sizes, and where things are.
        force: Run also those notebooks whose results are fresh.
        systems: What to compare with: all (unless given), none, names with commas between, or finished: no other
            system is trained, those that are trained already are shown.
        at_once: How many stages are made at the same time; unless given, two on a processor and one on a GPU.
    """
    from wsss_lib.experiments.runner import reproduce as run_all

    run_all(where.places(), systems=systems, force=force, at_once=at_once)
    return 0


@app.command
def run(
    notebook: tyro.conf.Positional[str],
    where: Settings = Where(),
    force: bool = False,
    systems: str | None = None,
    set_: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(name="set", metavar="NAME=VALUE")] = (),
) -> int:
    """Run one notebook.

    Args:
        notebook: Its number or name: 5, 05 or 05_segmentation.
        where: Which sizes, and where things are.
        force: Run it also if its results are fresh.
        systems: What to compare with, by name with commas between, all, none or finished: short for --set systems=...
        set_: A parameter of the notebook with its value; may be given several times.
    """
    from wsss_lib.experiments.notebooks import find_notebook
    from wsss_lib.experiments.runner import run_notebooks

    chosen = find_notebook(notebook)
    parameters = dict(map(_assignment, set_)) | ({} if systems is None else {"systems": systems})
    run_notebooks([chosen], where.places(), parameters=parameters, force=force)
    return 0


@app.command
def plan(
    profile: tyro.conf.Positional[str],
    data: AnyPath | None = None,
    build: AnyPath | None = None,
    out: AnyPath | None = None,
) -> int:
    """Measure what a profile would cost on this machine: hours, disk and memory of nearly every stage.

    The choice of seeds and the comparison with true label maps are not measured; they come on top.

    Args:
        profile: Whose sizes: paper, camvid or toy.
        data: Folder with the data sets; for paper, random textures of the published number and size without it.
        build: Where results would go; build/ beside the notebooks unless given. Nothing is written there.
        out: Folder that keeps the plan, as plan.csv and a Markdown table for every data set; unless given, none does.
    """
    from wsss_lib.experiments.plan import plan_lines

    for line in plan_lines(Where(profile=profile, data=data, build=build).places(), out):
        print(line, flush=True)
    return 0


@app.command
def make(
    stages: tyro.conf.Positional[tuple[str, ...]], where: Settings = Where(), processes: int = 1, at_once: int = 1
) -> int:
    """Make stages with several processes; notebooks then find them.

    Args:
        stages: classifier, clustering, segmentation, systems or predictions; what they need is made as well.
        where: Which sizes, and where things are.
        processes: How many train one network together, one for each GPU; those of torchrun, over several machines, if
            it started this command.
        at_once: How many stages are made at the same time, each by a process of its own, on one GPU or processor.
    """
    from wsss_lib.experiments.at_once import make_at_once
    from wsss_lib.experiments.makers import MAKERS
    from wsss_lib.experiments.shared import make_together
    from wsss_lib.training.together import world_size

    if not stages:
        raise SettingsError(f"name the stages to make, for instance segmentation; there are {', '.join(MAKERS)}")
    if at_once != 1 and world_size(processes) != 1:
        raise SettingsError(
            "pass --processes or --at-once, not both, and no --at-once under torchrun: processes train together, or"
            " each for itself"
        )
    if at_once != 1:
        make_at_once(stages, where.places(), processes=at_once)
    else:
        make_together(stages, where.places(), processes=processes)
    return 0


@app.command
def status(where: Settings = Where()) -> int:
    """Say which notebooks and stages are fresh, stale or missing; ``wsss why`` says what has changed."""
    from wsss_lib.experiments.experiment import Experiment
    from wsss_lib.experiments.status import status_lines
    from wsss_lib.experiments.why import count_lines, stages_of

    places = where.places()
    print("\n".join(status_lines(places)), flush=True)
    try:
        print("\n".join(count_lines(stages_of(Experiment(places, asking=True)))))
    except DataError as error:
        print(f"The stages are not told, because their data are not there: {error}")
    return 0


@app.command
def why(stage: tyro.conf.Positional[str], where: Settings = Where()) -> int:
    """Say what has changed since the stored results of a stage were made.

    Args:
        stage: Its name in the store: classifier, superpixels, class_maps, seeds, clustering, segmentation, ...
        where: Which sizes, and where things are.
    """
    from wsss_lib.experiments.experiment import Experiment
    from wsss_lib.experiments.why import why_lines

    print("\n".join(why_lines(Experiment(where.places(), asking=True), stage)))
    return 0


@app.command
def predict(
    images: AnyPath, out: AnyPath, where: Settings = Where(), model: AnyPath | None = None, *, crf: bool = False
) -> int:
    """Label every picture in a folder: index PNGs and colour overlays, named as the pictures.

    One that cannot be read is skipped, and the exit status is then 1.

    Args:
        images: Folder with pictures of any size.
        out: Folder for the label maps and overlays.
        where: Whose trained network to take, unless a model is given.
        model: Folder of a trained network; the newest one of the profile unless given.
        crf: Let outlines follow the colours, by a dense random field; thin and small things may vanish.
    """
    from wsss_lib.experiments.files import writing
    from wsss_lib.experiments.status import newest_model
    from wsss_lib.segmentation.predict import SKIPPED, predict_folder

    skipped = 0
    with writing(out):
        for line in predict_folder(model or newest_model(where.places()), images, out, crf=crf):
            print(line, flush=True)
            skipped += line.startswith(SKIPPED)
    if skipped:
        print(f"wsss: {skipped} pictures could not be read and were skipped", file=sys.stderr)
    return int(skipped > 0)


@app.command
def fit(
    images: AnyPath,
    tags: AnyPath,
    simple_images: AnyPath,
    out: AnyPath,
    weights: AnyPath | None = None,
    labels: AnyPath | None = None,
    classes: tuple[str, ...] = (),
    network: Literal["mobilenet_v2", "small"] = "mobilenet_v2",
    steps: int | None = None,
    method: Literal["paper", "plus"] = "paper",
) -> int:
    """Train a segmentation network on your own pictures, from tags alone.

    Args:
        images: Folder with the pictures; any names, any sizes.
        tags: CSV with the columns name and tags (separated by |), or JSON: name -> list of tags.
        simple_images: Folder with one folder of simple pictures for each class, named as the tags.
        out: Folder for the network, report.html and classes.csv; a killed run goes on there.
        weights: Folder with ImageNet weights of MobileNetV2; without it torchvision fetches them.
        labels: Folder with index PNGs of some of the pictures: then the report says how good the result is.
        classes: The classes, in the order of their numbers; all that the tags name unless given.
        network: mobilenet_v2, or small, which starts from nothing: to try things out.
        steps: Training steps of the segmentation network; 12 passes over the pictures unless given.
        method: paper, or plus, which goes beyond it and takes longer.
    """
    from wsss_lib.experiments.fit import fit as train

    train(
        images, tags, simple_images, out, weights=weights, labels=labels, classes=classes, network=network, steps=steps,
        method=method,
    )  # fmt: skip
    return 0


@app.command
def submit(where: Settings = Where()) -> int:
    """Write the archives that the test servers of Cityscapes and VOC take, and look through them as the servers do.

    Args:
        where: Which profile; only one that plays Cityscapes or VOC itself has anything to submit.
    """
    from wsss_lib.experiments.experiment import Experiment
    from wsss_lib.experiments.submission import archive_of, write_submission

    served = [stages for stages in Experiment(where.places()).roles.values() if archive_of(stages) is not None]
    for stages in served:
        print(write_submission(stages))
    if not served:
        print(f"profile {where.profile} plays no data set that has a test server: there is nothing to submit")
    return 0


@app.command
def publish(where: Settings = Where()) -> int:
    """Copy a finished profile's tables and figures to figures/ and fill the tables of README.md and figures/README.md.

    Args:
        where: Which sizes, and where things are.
    """
    from wsss_lib.experiments.publish import publish as publish_profile

    print(publish_profile(where.places()))
    return 0


@app.command
def data(
    action: tyro.conf.Positional[str],
    names: tyro.conf.Positional[tuple[str, ...]] = (),
    folder: Annotated[AnyPath, tyro.conf.arg(name="data")] = Path("data"),
    journal: AnyPath | None = None,
) -> int:
    """Look through a data folder for what is missing, damaged or does not fit; or fetch what may be fetched.

    Args:
        action: check, or fetch.
        names: What to fetch: camvid, voc2012, sbd, mobilenet_v2.
        folder: Folder with the data sets.
        journal: File that keeps what a check has found whole: one that was broken off goes on, a second one is quick.
    """
    from wsss_lib.data.check import Journal, check_data
    from wsss_lib.data.fetch import fetch
    from wsss_lib.experiments.inputs import data_folder
    from wsss_lib.experiments.names import check_name

    folder = data_folder(folder)  # where runs will look
    if check_name("action on data", action, ["check", "fetch"]) == "fetch":
        for name in names or ("",):
            fetch(name, folder)
        return 0
    if names:
        raise SettingsError(f"a check looks at everything in {folder}, not at {names[0]!r} alone; leave names out")
    wrong = False
    for finding in check_data(folder, Journal(journal)):
        print(f"{finding.severity:<8} {finding.dataset}: {finding.message}", flush=True)
        wrong |= finding.severity == "error"
    return int(wrong)


@app.command
def doctor(where: Settings = Where()) -> int:
    """Say whether this machine has what the project needs."""
    from wsss_lib.experiments.doctor import examine

    findings = examine(where.places())
    print("\n".join(map(str, findings)))
    return 0 if all(finding.fine for finding in findings) else 1


@app.command
def lab(where: Settings = Where()) -> int:
    """Open JupyterLab on the notebooks, for this machine only, in the environment that a run would have."""
    from wsss_lib.experiments.kernel import kernel_environment

    environment = {**os.environ, **kernel_environment(where.places())}
    options = ["--ServerApp.ip=127.0.0.1", f"--ServerApp.root_dir={NOTEBOOKS}"]
    if os.geteuid() == 0:  # usual in containers; Jupyter refuses it because of servers that others can reach
        options.append("--ServerApp.allow_root=True")
    os.execve(sys.executable, [sys.executable, "-m", "jupyterlab", *options], environment)


@app.command
def bench(where: Settings = Where()) -> int:
    """Measure the speeds that the project promises, on CamVid's pictures where --data names them.

    Args:
        where: Which sizes, and where things are.
    """
    from wsss_lib.experiments.bench import main as measure

    measure(where.places())
    return 0


def _assignment(text: str) -> tuple[str, Any]:
    """``"rounds=3"`` -> ``("rounds", 3)``; what is no Python literal is taken as a word."""
    name, equals, value = text.partition("=")
    if not (name.isidentifier() and equals):
        raise SettingsError(f"--set {text!r} is not of the form name=value, for instance --set rounds=3")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; clear errors are printed as one sentence, without a traceback."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files may hold bytes that are no text
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = app.cli(prog="wsss", args=arguments, config=(tyro.conf.OmitArgPrefixes,))
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        if _nobody_reads():
            return 141
        raise
    except WsssError as error:
        print(f"wsss: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("wsss: interrupted; the same command goes on from the last finished stage", file=sys.stderr)
        return 130


def _nobody_reads() -> bool:
    """Whether it is our output whose pipe broke, and no other one: then not even an empty line can be written."""
    try:
        print(flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more when it ends
        return True
    return False


if __name__ == "__main__":
    sys.exit(main())
