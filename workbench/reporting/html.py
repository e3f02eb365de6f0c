"""One HTML file for an executed notebook: verdict first, then numbers, failures, the cells, and where it came from.

The file stays below 2 MB, loads nothing from anywhere and runs no script: a content security policy in its head
holds that even against HTML in a notebook's outputs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
from nbconvert import HTMLExporter

from workbench.reporting.notebook import banner_html, numbers_html
from workbench.reporting.parameters import Parameter
from workbench.reporting.runs import NotebookRun
from workbench.reporting.states import look_of
from workbench.reporting.tables import cell_text, table_html

TEMPLATES = Path(__file__).with_name("templates")
CSS_FILE = TEMPLATES / "report" / "report.css"
MAX_BYTES = 2_000_000
_OUTPUT_BYTES = 1_700_000  # what cells may fill; the rest is for style, tables and provenance
_STREAM_CHARACTERS = 20_000
_VERDICT_ABOVE = '<p class="wb-caption">The verdict heads this page.</p>'
_HIDDEN_TAGS = frozenset({"parameters", "injected-parameters", "remove-cell", "papermill-error-cell-tag"})


def write_report(
    notebook: Path, run: NotebookRun, parameters: Sequence[Parameter] = (), *, siblings: Sequence[str] = ()
) -> Path:
    """Write the report of an executed notebook next to it, as `<name>.html`.

    Args:
        notebook: The executed notebook; if the run broke before there was one, the report has only the failure.
        run: How it ended.
        parameters: What the notebook declares, for the table of parameters.
        siblings: Names of the notebooks of the same run, linked at the top.
    """
    nb = nbformat.read(notebook, as_version=4) if notebook.exists() else nbformat.v4.new_notebook()
    body = _prepared(nb)
    page = {
        "title": run.title or run.name,
        "css": style_sheet(),
        "navigation": _navigation(run, siblings),
        "summary": _summary(run),
        "provenance": _provenance(run, parameters),
    }
    text, _ = _exporter().from_notebook_node(body, resources={"page": page})
    report = notebook.with_suffix(".html")
    report.write_text(text, encoding="utf-8")
    return report


def title_of(nb: nbformat.NotebookNode) -> str:
    """The text of the notebook's first H1, or an empty text."""
    for cell in nb.cells:
        if cell.cell_type == "markdown" and (found := re.search(r"^#\s+(.+)$", cell.source, re.MULTILINE)):
            return str(found[1]).strip()
    return ""


@cache
def style_sheet() -> str:
    """The style of reports and of the index."""
    return CSS_FILE.read_text(encoding="utf-8")


def state_html(state: str) -> str:
    """A state as a small badge with word, shape and colour."""
    look = look_of(state)
    return (
        f'<span class="wb-state wb-{look.tone}"><span aria-hidden="true">{look.symbol}</span> '
        f"{escape(look.word)}</span>"
    )


@cache
def _exporter() -> HTMLExporter:
    return HTMLExporter(
        template_name="report",
        extra_template_basedirs=[str(TEMPLATES)],
        exclude_anchor_links=True,
        exclude_output_prompt=True,
        embed_images=True,
    )


def _prepared(nb: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook as it is shown: without its H1 and verdict (they head the page), and within the size."""
    left = _OUTPUT_BYTES
    shown = []
    title_seen = False
    for cell in nb.cells:
        if _HIDDEN_TAGS & set(cell.metadata.get("tags", [])):
            continue
        if cell.cell_type == "markdown" and not title_seen:
            cell.source, count = re.subn(r"^#\s+.+$", "", cell.source, count=1, flags=re.MULTILINE)
            title_seen = bool(count)
        if cell.cell_type == "code":
            cell.outputs = _merged(cell.outputs)
            left = _limit(cell.outputs, left)
        shown.append(cell)
    nb.cells = shown
    return nb


def _merged(outputs: Sequence[Any]) -> list[Any]:
    """The outputs with streams of one name in a row as one, and a line where the verdict was."""
    merged: list[Any] = []
    for output in outputs:
        if output.get("metadata", {}).get("workbench", {}).get("role") == "verdict":
            merged.append(nbformat.v4.new_output("display_data", {"text/html": _VERDICT_ABOVE}))
        elif merged and output.output_type == "stream" == merged[-1].output_type and output.name == merged[-1].name:
            merged[-1].text += output.text
        else:
            merged.append(output)
    return merged


def _limit(outputs: list[Any], left: int) -> int:
    """Shorten long streams and leave out what does not fit in `left` bytes; what is left after it."""
    for position, output in enumerate(outputs):
        if output.output_type == "stream" and len(output.text) > _STREAM_CHARACTERS:
            output.text = output.text[:_STREAM_CHARACTERS] + "\n… shortened; the notebook has all of it"
        size = len(str(output))
        if size > left:
            note = "This output is left out to keep the report small; the executed notebook has it."
            outputs[position] = nbformat.v4.new_output("stream", name="stdout", text=note)
        else:
            left -= size
    return left


def _navigation(run: NotebookRun, siblings: Sequence[str]) -> str:
    links = ['<a href="../index.html">All runs</a>']
    for name in siblings:
        links.append(
            f'<span aria-current="page">{escape(name)}</span>'
            if name == run.name
            else f'<a href="{escape(name)}.html">{escape(name)}</a>'
        )
    return f'<nav aria-label="Reports">{" ".join(links)}</nav>'


def _summary(run: NotebookRun) -> str:
    parts = []
    verdict: Mapping[str, Any] = run.verdict or {}
    if run.broke:
        where = f" in cell {run.cell}" if run.cell else ""
        under = f" ({run.heading})" if run.heading else ""
        first, _, rest = run.error.partition("\n")
        parts.append(banner_html(run.status, f"The notebook broke{where}{under}: {first}"))
        if rest.strip():
            parts.append(f"<details><summary>More of the cause</summary><pre>{escape(rest)}</pre></details>")
        parts.append(f"<p>Run it again: <code>{escape(run.rerun_command)}</code></p>")
    elif verdict:
        parts.append(banner_html(verdict["status"], verdict["headline"]))
    else:
        parts.append(banner_html(run.status, "The notebook ran; it gives no verdict."))
    key_numbers: dict[str, Any] = {}
    if verdict.get("number") is not None:
        key_numbers[verdict.get("unit") or "number"] = verdict["number"]
    key_numbers |= verdict.get("numbers", {})
    if key_numbers:
        parts.append(numbers_html(key_numbers))
    if verdict.get("failures"):
        total = f"What was found wanting ({verdict['failure_rows']:,} in all)"
        parts.append(table_html(pd.DataFrame(verdict["failures"]), total))
        parts.append(f'<p class="wb-caption"><a href="{escape(run.name)}/data/failures.csv">All as CSV</a></p>')
    return "".join(parts)


def _provenance(run: NotebookRun, parameters: Sequence[Parameter]) -> str:
    facts = {
        "started": f"{run.started_at[:19].replace('T', ' ')} UTC",
        "took": f"{run.seconds:.1f} s",
        "command": run.rerun_command,
        **run.versions,
    }
    rows = [
        (
            p.name,
            parameter_text(run.parameters.get(p.name, p.default)),
            "given" if p.name in run.parameters else "default",
            p.help,
        )
        for p in parameters
    ]
    given = (
        table_html(pd.DataFrame(rows, columns=["parameter", "value", "from", "meaning"]), "Parameters") if rows else ""
    )
    origin = pd.DataFrame(list(facts.items()), columns=["fact", "value"])
    notebook = f'<p class="wb-caption"><a href="{escape(run.name)}.ipynb">Executed notebook</a></p>'
    return f"{given}{table_html(origin, 'Run')}{notebook}"


def parameter_text(value: object) -> str:
    """A parameter's value for people; an empty text or list says so."""
    return ", ".join(value) or "(empty)" if isinstance(value, list) else "(empty)" if value == "" else cell_text(value)
