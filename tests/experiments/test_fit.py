"""One's own pictures: from odd files and tags to a network that predicts, and clear words for what is wrong."""

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from PIL import Image as Pillow

from wsss_lib.data.label_spaces import CAMVID
from wsss_lib.data.pictures import read_image, write_image, write_label_map
from wsss_lib.data.toy import toy_simple, toy_streets
from wsss_lib.experiments import fit as fitting
from wsss_lib.experiments.fit import fit
from wsss_lib.experiments.profiles.own import fitted, own_profile
from wsss_lib.segmentation.predict import load_segmenter, predict_folder
from wsss_lib.training.compute import choose_compute
from wsss_lib.vocabulary import DataError, SettingsError

NAMES = ("first street", "<b>bold &", "ünï", "grey", "clear")


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five streets as odd files: a name with markup, one upright by EXIF, one grey, one with alpha, all sizes."""
    root = tmp_path_factory.mktemp("material")
    streets = toy_streets(CAMVID, "train", count=5, size=(80, 60))
    simple = toy_simple(CAMVID, per_class=2, size=(40, 32))
    (root / "images").mkdir()
    for i, name in enumerate(NAMES):
        picture = Pillow.fromarray(streets.image(i)).resize((80 + 8 * i, 60))
        if name == "grey":
            picture = picture.convert("L")
        if name == "clear":
            picture.putalpha(200)
        exif = Pillow.Exif()
        exif[0x0112] = 6 if name == "ünï" else 1  # 6: to be turned by a quarter
        picture.save(root / "images" / f"{name}.png", exif=exif)
        write_label_map(root / "labels" / f"{name}.png", np.zeros((60, 80 + 8 * i), np.uint8), CAMVID)
    turned = Pillow.open(root / "labels" / "ünï.png").rotate(-90, expand=True)
    turned.save(root / "labels" / "ünï.png")
    for i, label in enumerate(simple.labels):
        write_image(root / "simple" / simple.classes[label] / f"{i}.png", simple.image(i))
    tags = streets.tags.copy()
    tags[4] = False
    listed = ["|".join(np.array(CAMVID.classes)[row]) for row in tags]
    pd.DataFrame({"name": NAMES, "tags": listed}).to_csv(root / "tags.csv", index=False)
    shutil.rmtree(root / "simple" / "Pole")
    return root


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few steps of everything."""

    def short(*arguments, **named):
        profile = own_profile(*arguments, **named)
        role = profile.roles["own"]
        clustering = role.variants["default"].clustering
        training = replace(clustering.training, steps=3)
        clustering = replace(clustering, training=training, center_steps=1, rounds=1, certain=(0.5,))
        network = replace(role.segmentation, settling_batches=1)
        role = replace(
            role, variants={name: replace(each, clustering=clustering) for name, each in role.variants.items()},
            classifier=replace(role.classifier, training=replace(role.classifier.training, steps=3)),
            segmentation=network, beyond={name: replace(each, network=network) for name, each in role.beyond.items()},
        )  # fmt: skip
        return replace(profile, roles={"own": role})

    monkeypatch.setattr(fitting, "own_profile", short)


def fit_small(material: Path, out: Path, **changed):
    said: list[str] = []
    given = {"images": material / "images", "tags": material / "tags.csv", "simple_images": material / "simple"}
    fit(**{**given, "out": out, "network": "small", "steps": 2, "report": said.append, **changed})
    return said


@pytest.mark.usefixtures("quick")
def test_a_folder_becomes_a_network_with_a_report_and_numbers(material: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = fit_small(material, out, labels=material / "labels", classes=CAMVID.classes)
    assert {path.name for path in out.iterdir()} == {
        "network.safetensors", "network.json", "report.html", "classes.csv", "build",
    }  # fmt: skip
    assert any("no simple picture shows Pole: it cannot be found (4 pictures have the tag)" in line for line in said)
    assert any("1 pictures have no tag and are not learnt from (clear)" in line for line in said)
    segmenter = load_segmenter(out, choose_compute("cpu", "float32"))
    assert segmenter.label_space.classes == CAMVID.classes
    assert segmenter.label_space.name == "own"
    sides = [max(read_image(path).shape[:2]) for path in (material / "images").iterdir() if path.stem != "clear"]
    assert segmenter.longest_side == max(sides) < 640
    rows = pd.read_csv(out / "classes.csv")
    assert rows["class"].tolist() == list(CAMVID.classes)
    assert rows["predicted, %"].sum() == pytest.approx(100, abs=1)
    assert rows.loc[rows["class"] == "Sky", "IoU of the prediction, %"].item() >= 0
    page = (out / "report.html").read_text()
    assert "&lt;b&gt;bold &amp;" in page
    assert "<b>bold" not in page
    assert page.count("data:image/png;base64,") == 5 * 4  # of every tagged picture, from heat to prediction
    assert "mean IoU of its predictions" in page
    lines = list(predict_folder(out, material / "images", tmp_path / "labelled"))
    assert len(lines) == 5
    assert read_image(tmp_path / "labelled" / "overlays" / "ünï.png").shape == (96, 60, 3)


@pytest.mark.usefixtures("quick")
def test_plus_has_collages_two_generations_and_a_finer_network(material: Path, tmp_path: Path) -> None:
    def started(said: list[str]) -> Counter[str]:
        return Counter(line.partition(":")[0] for line in said if line.endswith("started"))

    said = fit_small(material, tmp_path / "paper")
    assert "collages" not in started(said)
    assert started(said)["clustering"] == started(said)["segmentation"] == 1
    assert "method: the paper&#x27;s" in (tmp_path / "paper" / "report.html").read_text()
    out = tmp_path / "plus"
    said = fit_small(material, out, method="plus")
    twice = {"collages", "clustering", "segmentation"}  # features: seen by the classifier, by the first network
    assert {name for name, times in started(said).items() if times == 2} == twice | {"region_features"}
    assert json.loads((out / "network.json").read_text())["network"] == "fcn8s_small"
    assert "method: plus" in (out / "report.html").read_text()
    assert len(list(predict_folder(out, material / "images", tmp_path / "labelled"))) == 5


@pytest.mark.usefixtures("quick")
def test_a_second_run_finds_everything(material: Path, tmp_path: Path) -> None:
    fit_small(material, tmp_path / "out")
    first = (tmp_path / "out" / "report.html").read_bytes()
    said = fit_small(material, tmp_path / "out")
    assert not any("started" in line for line in said)
    assert (tmp_path / "out" / "report.html").read_bytes() == first


@pytest.mark.usefixtures("quick")
def test_labels_that_come_later_are_measured_with_and_nothing_is_trained_again(material: Path, tmp_path: Path) -> None:
    fit_small(material, tmp_path / "out", classes=CAMVID.classes)
    network = (tmp_path / "out" / "network.safetensors").read_bytes()
    said = fit_small(material, tmp_path / "out", classes=CAMVID.classes, labels=material / "labels")
    assert {line.partition(":")[0] for line in said if line.endswith("started")} == {"confusion"}
    assert (tmp_path / "out" / "network.safetensors").read_bytes() == network
    assert "mean IoU of its predictions" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.usefixtures("quick")
def test_tags_as_json_and_a_single_picture(material: Path, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    shutil.copyfile(material / "images" / "grey.png", tmp_path / "one" / "grey.png")
    (tmp_path / "tags.json").write_text(json.dumps({"grey": ["Road", "Sky"]}))
    fit_small(material, tmp_path / "out", images=tmp_path / "one", tags=tmp_path / "tags.json")
    assert pd.read_csv(tmp_path / "out" / "classes.csv")["class"].tolist() == ["Road", "Sky"]


@pytest.mark.usefixtures("quick")
def test_what_has_no_tag_does_not_lengthen_the_training(material: Path, tmp_path: Path, monkeypatch) -> None:
    """Passes are counted over the pictures that are learnt from, and sizes are theirs."""
    monkeypatch.setattr(fitting, "own_profile", Mock(side_effect=SettingsError("enough")))
    with pytest.raises(SettingsError, match="enough"):
        fit_small(material, tmp_path / "out")
    folders, sizes = fitting.own_profile.call_args.args
    assert sorted(width for width, _ in sizes) == [60, 80, 88, 104]  # 60: upright; the untagged one has 112
    assert own_profile(folders, sizes).main.source.size == (84, 60)


# ---------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"images": "nowhere"}, DataError, "nowhere cannot be listed"),
        ({"tags": "none.csv"}, DataError, r"there is no tags file .*none\.csv"),
        ({"tags": "other.csv"}, DataError, "has no row for"),
        ({"tags": "one.json"}, SettingsError, "1 classes; a segmentation needs at least 2"),
        ({"tags": "broken.json"}, DataError, r"broken\.json cannot be read as JSON"),
        ({"tags": "list.json"}, DataError, r"list\.json must map picture names to lists of tags"),
        ({"tags": "twice.json"}, DataError, "a name is there twice"),
        ({"simple_images": "nowhere"}, DataError, "there is no folder .*nowhere"),
        ({"simple_images": "foreign"}, DataError, r"no folder of simple pictures is called as a class \(boat"),
        ({"classes": ("Road", "Road")}, SettingsError, "the class 'Road' is named twice"),
        ({"classes": ("Road", "Sky")}, DataError, "has the tag .* not among the classes that were given; add it"),
        ({"steps": 0}, SettingsError, "cannot be trained for 0 steps; give 1 or more"),
        ({"weights": "nowhere"}, DataError, "there is no folder of weights .*nowhere"),
        ({"tags": "semicolons.json"}, DataError, r"rename the folders or the tags \(tags are separated by \|\)"),
        ({"labels": "images"}, DataError, "not an index map"),
        ({"labels": "foreign/boat"}, DataError, r"has label maps without a picture \(1\)"),
        ({"weights": "images"}, DataError, r"holds 0 files of weights"),
        ({"images": "damaged"}, DataError, r"grey\.png cannot be read as a picture"),
        ({"images": "thin"}, DataError, r"grey is worked on at 640 x 1 pixels, too few; leave it out"),
    ],
)
@pytest.mark.usefixtures("quick")
def test_what_does_not_fit_is_said_in_one_sentence(material: Path, tmp_path: Path, changed, error, message) -> None:
    root = tmp_path / "copy"
    shutil.copytree(material, root)
    (root / "other.csv").write_text("name,tags\nfirst street,Road|Sky\n")
    (root / "one.json").write_text('{"grey": ["Road"]}')
    (root / "semicolons.json").write_text(json.dumps({name: ["Road;Sky", "Car;Sky"] for name in NAMES}))
    (root / "broken.json").write_text('{"grey"')
    (root / "list.json").write_text('{"grey": "Road"}')
    (root / "twice.json").write_text('{"grey": ["Road"], "grey": ["Sky"]}')
    shutil.copytree(root / "images", root / "damaged")
    (root / "damaged" / "grey.png").write_bytes((root / "images" / "grey.png").read_bytes()[:200])
    shutil.copytree(root / "images", root / "thin")
    write_image(root / "thin" / "grey.png", np.zeros((3, 2000, 3), np.uint8))
    write_image(root / "foreign" / "boat" / "1.png", np.zeros((20, 20, 3), np.uint8))
    given = {name: root / value if isinstance(value, str) else value for name, value in changed.items()}
    with pytest.raises(error, match=message):
        fit_small(root, tmp_path / "out", **given)
    assert not (tmp_path / "out" / "network.json").exists()


@pytest.mark.usefixtures("quick")
def test_results_among_the_pictures_are_refused(material: Path) -> None:
    with pytest.raises(SettingsError, match="results would lie among the pictures"):
        fit_small(material, material / "images")


@pytest.mark.usefixtures("quick")
def test_a_misspelt_tag_is_told_with_the_folder_it_is_like(material: Path, tmp_path: Path) -> None:
    tags = pd.read_csv(material / "tags.csv", keep_default_na=False)
    tags.loc[0, "tags"] = tags.loc[0, "tags"].replace("Road", "Raod")
    tags.to_csv(tmp_path / "tags.csv", index=False)
    said = fit_small(material, tmp_path / "out", tags=tmp_path / "tags.csv")
    told = "no simple picture shows Raod (did you mean 'Road'?): it cannot be found (1 pictures have the tag)"
    assert any(told in line for line in said)


def test_pictures_of_formats_that_are_not_read_are_told(material: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(material, root)
    (root / "images" / "phone.heic").write_bytes(b"a")
    (root / "simple" / "Road" / "x.avif").write_bytes(b"a")
    said = fit_small(root, tmp_path / "out")
    assert [line.partition(": this format")[0] for line in said if "is not read" in line] == [
        f"warning: phone.heic in {root / 'images'}", f"warning: x.avif in {root / 'simple' / 'Road'}"
    ]  # fmt: skip


def test_the_next_command_can_be_copied(material: Path, tmp_path: Path) -> None:
    out = tmp_path / "my results"
    said = fit_small(material, out)
    assert said[-1] == f"wsss predict --model '{out}' --images <folder> --out <folder>"


def test_sizes_fit_the_pictures_proportions() -> None:
    assert fitted((480, 360), 481) == (481, 353)
    assert fitted((640, 320), 961) == (961, 481)
    assert fitted((300, 600), 193) == (97, 193)
    assert fitted((640, 1), 193) == (193, 17)
