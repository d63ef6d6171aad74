"""One page about a network trained on one's own pictures: HTML with everything in it, no other file, no script."""

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from PIL import Image as Pillow

from wsss_lib.reporting.palette import colorize
from wsss_lib.vocabulary import Image, LabelMap, LabelSpace

WIDTH = 320
"""Pixels; wider pictures are scaled down for the page."""

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1040px; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: 1em 0 } th, td { padding: 3px 12px; text-align: right }
th:first-child, td:first-child { text-align: left } thead { border-bottom: 2px solid #222 }
tbody tr:nth-child(even) { background: #f5f5f5 } .swatch { display: inline-block; width: 1em; height: 1em;
margin-right: .5em; vertical-align: -.15em; border: 1px solid #999 } figure { margin: 1em 0 } figure img { width: 32% }
figcaption { color: #555 } .warning { background: #fff4d6; border-left: 4px solid #e0a100; padding: .4em 1em }
"""


@dataclass(frozen=True, kw_only=True)
class Example:
    """A training picture with what was made of it, all of one size."""

    name: str
    tags: Sequence[str]
    image: Image
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
    """The page. ``classes`` has a column ``class`` and any others; names of files and classes are escaped."""
    parts = [f"<h1>{html.escape(title)}</h1>", _list(facts)]
    parts += [f'<p class="warning">{html.escape(each)}</p>' for each in warnings]
    parts += ["<h2>Classes</h2>", _class_table(classes, label_space), "<h2>Training pictures</h2>"]
    parts.append("<p>Picture, the labels that the network learnt from, and what it says without knowing the tags.</p>")
    parts += [_figure(example, label_space) for example in examples]
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n' + "\n".join(parts) + "\n</body></html>\n"


def _list(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in lines) + "</ul>"


def _class_table(classes: pd.DataFrame, label_space: LabelSpace) -> str:
    rows = []
    for record in classes.to_dict("records"):
        color = "rgb({}, {}, {})".format(*label_space.colors[label_space.index(str(record["class"]))])
        name, *others = (html.escape(str(record[column])) for column in classes.columns)
        cells = "".join(f"<td>{value}</td>" for value in others)
        rows.append(f'<tr><td><span class="swatch" style="background: {color}"></span>{name}</td>{cells}</tr>')
    headings = "".join(f"<th>{html.escape(str(column))}</th>" for column in classes.columns)
    return f"<table><thead><tr>{headings}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _figure(example: Example, label_space: LabelSpace) -> str:
    pictures = (example.image, colorize(example.labels, label_space), colorize(example.prediction, label_space))
    what = ("picture", "labels", "prediction")
    tags = [
        f'<img alt="{label} of {html.escape(example.name)}" src="{_data_uri(picture)}">'
        for label, picture in zip(what, pictures, strict=True)
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
