"""The code behind a stage: what counts, what does not, and how far a change reaches."""

from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from typing import get_args, get_type_hints

import pytest

from wsss_lib.baselines.registry import SYSTEMS
from wsss_lib.clustering.collages import CollageConfig
from wsss_lib.experiments import code
from wsss_lib.experiments.code import MADE_BY, READ_BY, code_of, file_of, glue, imports_of, reached, statements
from wsss_lib.experiments.counting import COLOUR_TABLE, MAPS, counted_reference, counted_round
from wsss_lib.experiments.inputs import FrameFlow
from wsss_lib.experiments.pipeline import Stages
from wsss_lib.experiments.profiles.schema import Source
from wsss_lib.experiments.segmentation import Segmentation
from wsss_lib.vocabulary import SettingsError


def make():
    """Stands for the function that makes a stage."""


def closure(stage):
    return reached(tuple(f"wsss_lib.{module}" for module in MADE_BY[stage]))


def test_words_and_layout_do_not_count_but_every_number_does(tmp_path):
    versions = {
        "as it is": '"""Words."""\n\n\ndef f(x):\n    """More words."""\n    return 2 * x  # twice\n',
        "other words": "def f(x): return (2 *\n x)\n",
        "another number": "def f(x):\n    return 3 * x\n",
        "another sign": "def f(x):\n    return 2 + x\n",
    }
    found = {}
    for name, text in versions.items():
        (tmp_path / f"{name}.py").write_text(text)
        found[name] = statements(tmp_path / f"{name}.py")
    assert found["as it is"] == found["other words"]
    assert len(set(found.values())) == 3


def test_a_string_that_is_no_docstring_counts(tmp_path):
    for name, text in (("a", 'x = "one"\n'), ("b", 'x = "two"\n')):
        (tmp_path / f"{name}.py").write_text(text)
    assert statements(tmp_path / "a.py") != statements(tmp_path / "b.py")


def test_imports_are_found_in_every_form(tmp_path):
    (tmp_path / "x.py").write_text(
        "import numpy\nimport wsss_lib.data.disk\nfrom wsss_lib.data import camvid\n"
        "from wsss_lib.training.loop import train\n\n\ndef f():\n    from wsss_lib.regions.flow import flow_between\n"
    )
    names = {"data", "data.disk", "data.camvid", "training.loop", "regions.flow"}
    assert set(imports_of(tmp_path / "x.py")) == {f"wsss_lib.{name}" for name in names}


def test_modules_are_reached_however_far_away():
    """The rounds use the centre loss and, through the features, the backbones; no stage uses what draws."""
    assert {"wsss_lib.clustering.center_loss", "wsss_lib.classification.backbones"} <= closure("clustering")
    assert "wsss_lib.clustering.center_loss" not in closure("classifier") | closure("segmentation")
    for stage in MADE_BY:
        assert not any(".reporting" in name or ".experiments" in name for name in closure(stage))


def test_a_change_reaches_the_stages_that_use_it_and_no_other(monkeypatch):
    stages = [*MADE_BY, *(f"system {name}" for name in SYSTEMS)]

    def codes():
        return {name: code_of(name.split()[0], make, system=name.partition(" ")[2]) for name in stages}

    before, known = codes(), statements
    changed = file_of("wsss_lib.clustering.center_loss")
    monkeypatch.setattr(code, "statements", lambda file: known(file) + ("changed" if file == changed else ""))
    after = codes()
    assert [name for name in stages if before[name] != after[name]] == ["clustering", "system mcof"]


def test_the_version_of_a_library_counts(monkeypatch):
    before = code_of("superpixels", make)
    monkeypatch.setattr(code, "versions", lambda: {**before, "torch": "99"})
    assert {name for name, value in code_of("superpixels", make).items() if value != before[name]} == {"torch"}


def test_the_reader_of_the_pictures_counts():
    """A change of how CamVid is read reaches what is made from CamVid, and nothing that is made from MSRC-21."""
    assert "data.camvid" in code_of("classifier", make, reader="camvid")
    assert "data.tags" in code_of("classifier", make, reader="camvid")
    assert "data.camvid" not in code_of("classifier", make, reader="msrc21")
    assert set(READ_BY) == set(get_args(get_type_hints(Source)["reader"]))
    with pytest.raises(SettingsError, match="nothing says which code reads 'dreams'"):
        code_of("classifier", make, reader="dreams")


GLUE = """
class Stages:
    def seeds_artefact(self):
        def make(folder):
            return choose(self.threshold()) + number()
        return make

    def threshold(self):
        return self.progress(0.2)

    def progress(self, x):
        return x

    def unused(self):
        return 1


def number():
    return 3
"""


def test_methods_and_functions_beside_count_if_they_are_used(tmp_path):
    def pieces(text):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        (folder / "glued.py").write_text(text)
        spec = spec_from_file_location("glued", folder / "glued.py")
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return glue(module.Stages().seeds_artefact())

    before = pieces(GLUE)
    assert set(before) == {"Stages.seeds_artefact", "Stages.threshold", "number"}
    for old, new, changed in (
        ("0.2", "0.3", {"Stages.threshold"}),
        ("return 3", "return 4", {"number"}),
        ("+ number()", "- number()", {"Stages.seeds_artefact"}),
        ("return 1", "return 2", set()),
        ("return x", "return 2 * x", set()),
    ):
        after = pieces(GLUE.replace(old, new))
        assert {name for name in before if before[name] != after[name]} == changed


def with_collages(stages):
    default = replace(stages.role.variants["default"], collages=CollageConfig())
    return Stages(replace(stages.role, variants={"default": default}), stages.experiment)


def code_behind(experiment, ask):
    """Names of the code behind the last artefact that is asked for; nothing is made."""
    with experiment.store.asking() as wanted:
        ask(experiment.main)
    return set(wanted[-1].params["code"])


@pytest.mark.parametrize(
    ("ask", "reaches"),
    [
        (lambda stages: stages.seeds_artefact("default", 0), {"ClassMaps.heat"}),
        (lambda stages: stages.views("default", 0)[0].artefact(), {"RegionView.describe", "RegionView.backbone"}),
        (
            lambda stages: with_collages(stages).collages("default")[0].artefact(),
            {"Collages.pasted_into", "Collages.spots", "Collages.cuttings", "Stages.label_maps"},
        ),
        (
            lambda stages: Segmentation(stages=stages, system="psa").artefact(),
            {"Segmentation.material", "ClassMaps.heat", "Stages.label_maps", "read_flow"},
        ),
        (lambda stages: counted_round(stages, "default", 0, 1), {"label_maps_of", "Stages.label_maps"}),
        (lambda stages: counted_reference(stages, COLOUR_TABLE, "val", -1), {"_guesses"}),
        (lambda stages: counted_reference(stages, MAPS, "val", 0), {"ClassMaps.label_maps"}),
    ],
    ids=["seeds", "features", "collages", "system", "round", "colour table", "maps"],
)
def test_what_other_modules_put_together_counts(finished, ask, reaches):
    assert reaches <= code_behind(finished, ask)


def test_later_stages_make_nothing_of_the_earlier_ones_stale(finished):
    """A method counts where its name is used and an object of its class can be had, whatever else has such a name."""
    for ask in (
        lambda stages: stages.classifier_artefact(0),
        lambda stages: stages.seeds_artefact("default", 0),
        lambda stages: stages.views("default", 0)[0].artefact(),
    ):
        assert not [name for name in code_behind(finished, ask) if name.startswith(("Collages.", "Segmentation."))]
        assert "Stages.rounds" not in code_behind(finished, ask)


def test_a_count_does_not_depend_on_what_makes_other_label_maps(finished):
    assert "_guesses" not in code_behind(finished, lambda stages: counted_round(stages, "default", 0, 1))


@pytest.mark.parametrize("change", ["sure", "flow"])
def test_what_a_system_learns_from_is_in_its_key(finished, change, monkeypatch):
    """The share of our seeds that it is given, and to which frames there is flow."""

    def key():
        with finished.store.asking():
            return Segmentation(stages=finished.main, system="psa").artefact().key

    before, flow = key(), finished.main.flow
    if change == "sure":
        monkeypatch.setattr(Segmentation, "_surest_share", 0.1)
    else:
        monkeypatch.setattr(finished.main, "flow", FrameFlow(lambda _: None, "these") if flow is None else None)
    assert (one := key()) != before
    if change == "flow":
        monkeypatch.setattr(finished.main, "flow", FrameFlow(lambda _: None, "others"))
        assert key() not in (one, before)


def test_the_library_counts_as_it_was_loaded(monkeypatch, tmp_path):
    """An edit while a long run is under way does not reach the keys of what the old code makes."""
    file = file_of("wsss_lib.clustering.relabel")
    monkeypatch.setattr("pathlib.Path.read_text", lambda *_, **__: "edited = 1")
    assert code._text(file) != "edited = 1"
    assert code._text(tmp_path / "another.py") == "edited = 1"


def test_how_a_network_starts_and_is_saved_counts(finished):
    code = Segmentation(stages=finished.main).artefact().record["params"]["code"]
    assert {"Segmentation._new_network", "Segmentation._save", "segmentation.training", "torch"} <= set(code)


def test_every_stage_of_a_run_is_known(finished):
    assert {artefact.stage for artefact in finished.store.contents()} <= set(MADE_BY)
    with pytest.raises(SettingsError, match="nothing says which code makes the stage 'dreams'"):
        code_of("dreams", make)
