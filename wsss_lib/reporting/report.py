"""One page about a network trained on one's own pictures: HTML with everything in it, no other file, no script."""

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from PIL import Image as Pillow

from wsss_lib.reporting.overlays import ClassHeat, class_heat_overlay, seed_overlay
from wsss_lib.reporting.palette import colorize
from wsss_lib.reporting.rendering import NO_NUMBER
from wsss_lib.vocabulary import Image, LabelMap, LabelSpace

WIDTH = 320
"""Pixels; wider pictures are scaled down for the page."""

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1400px; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: 1em 0 } th, td { padding: 3px 12px; text-align: right }
th:first-child, td:first-child { text-align: left } thead { border-bottom: 2px solid #222 }
tbody tr:nth-child(even) { background: #f5f5f5 } .swatch { display: inline-block; width: 1em; height: 1em;
margin-right: .5em; vertical-align: -.15em; border: 1px solid #999 }
figure { margin: 1em 0 } figure img { width: 19.4% } figcaption { color: #555 }
.warning { background: #fff4d6; border-left: 4px solid #e0a100; padding: .4em 1em }
"""

STEPS = (
    "From left to right: the picture; heat, where the classifier of simple pictures sees which tag (of each pixel the"
    " hottest); seeds, the first labels of the superpixels; labels, what the rounds made of them and the network learnt"
    " from; the prediction, what the network says without knowing the tags. Look for the step at which something first"
    " goes wrong: a class that no heat shows needs better simple pictures, one that the rounds lose is rare or looks"
    " like another."
)


@dataclass(frozen=True, kw_only=True)
class Example:
    """A training picture with what was made of it, all of one size, in the order of the method.

    ``heat`` is class x height x width, 0..1; ``seeds`` the first labels of its superpixels, ``labels`` the last ones.
    """

    name: str
    tags: Sequence[str]
    image: Image
    heat: ClassHeat
    seeds: LabelMap
    labels: LabelMap
    prediction: LabelMap


def report_page(
    *,
    title: str,
    facts: Sequence[str],
    warnings: Sequence[str],
    classes: pd.DataFrame,
    label_space: LabelSpace,
    examples: Sequence[Example],
) -> str:
    """The page. ``classes`` has a column ``class`` and any others, ``nan`` for no number; all text is escaped."""
    parts = [f"<h1>{html.escape(title)}</h1>", _list(facts)]
    parts += [f'<p class="warning">{html.escape(each)}</p>' for each in warnings]
    parts += ["<h2>Classes</h2>", _class_table(classes, label_space), "<h2>Training pictures</h2>"]
    parts.append(f"<p>{STEPS}</p>")
    parts += [_figure(example, label_space) for example in examples]
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n' + "\n".join(parts) + "\n</body></html>\n"


def _list(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in lines) + "</ul>"


def _class_table(classes: pd.DataFrame, label_space: LabelSpace) -> str:
    rows = []
    for record in classes.to_dict("records"):
        color = "rgb({}, {}, {})".format(*label_space.colors[label_space.index(str(record["class"]))])
        name, *others = (
            NO_NUMBER if pd.isna(record[column]) else html.escape(str(record[column])) for column in classes.columns
        )
        cells = "".join(f"<td>{value}</td>" for value in others)
        rows.append(f'<tr><td><span class="swatch" style="background: {color}"></span>{name}</td>{cells}</tr>')
    headings = "".join(f"<th>{html.escape(str(column))}</th>" for column in classes.columns)
    return f"<table><thead><tr>{headings}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _figure(example: Example, label_space: LabelSpace) -> str:
    pictures = {
        "picture": example.image,
        "heat": class_heat_overlay(example.image, example.heat, label_space),
        "seeds": seed_overlay(example.image, example.seeds, label_space),
        "labels": colorize(example.labels, label_space),
        "prediction": colorize(example.prediction, label_space),
    }
    tags = [
        f'<img alt="{what} of {html.escape(example.name)}" title="{what}" src="{_data_uri(picture)}">'
        for what, picture in pictures.items()
    ]
    caption = f"{example.name}: {', '.join(example.tags) or 'no tags'}"
    return f"<figure>{' '.join(tags)}<figcaption>{html.escape(caption)}</figcaption></figure>"


def _data_uri(image: Image) -> str:
    picture = Pillow.fromarray(image)
    if picture.width > WIDTH:
        picture = picture.resize((WIDTH, max(1, round(picture.height * WIDTH / picture.width))))
    stream = io.BytesIO()
    picture.save(stream, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
