"""The page of all runs: one static file made from every `run.json`, readable without scripts."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from workbench.reporting.html import parameter_text, state_html, style_sheet
from workbench.reporting.runs import NotebookRun, RunRecord, read_runs, write_atomically
from workbench.reporting.tables import cell_text

INDEX_FILE = "index.html"

# Hides the rows that do not hold the typed text. Without scripts the field stays hidden and all rows are shown.
_FILTER_SCRIPT = """
const field = document.querySelector('#filter');
field.parentElement.hidden = false;
field.addEventListener('input', () => {
  for (const row of document.querySelectorAll('tbody tr'))
    row.hidden = !row.textContent.toLowerCase().includes(field.value.toLowerCase());
});
"""


def refresh_index(reports_dir: Path) -> Path:
    """Write `index.html` of all runs under `reports_dir`, newest first; its path.

    A run whose process is gone without an end is shown as interrupted.
    """
    runs, unreadable = read_runs(reports_dir)
    older, newer = _neighbours(runs)
    rows = "".join(_row(run, older.get(run.id), newer.get(run.id)) for run in runs)
    file = reports_dir / INDEX_FILE
    write_atomically(file, _page(rows, len(runs), [f.parent.name for f in unreadable]))
    return file


def _neighbours(runs: Sequence[RunRecord]) -> tuple[dict[str, RunRecord], dict[str, RunRecord]]:
    """For each run the one before and the one after it of the same name."""
    older: dict[str, RunRecord] = {}
    newer: dict[str, RunRecord] = {}
    last: dict[str, RunRecord] = {}
    for run in runs:  # newest first
        if run.name in last:
            older[last[run.name].id] = run
            newer[run.id] = last[run.name]
        last[run.name] = run
    return older, newer


def _row(run: RunRecord, older: RunRecord | None, newer: RunRecord | None) -> str:
    links = [
        f'<a href="#{escape(other.id)}">{word}</a>'
        for word, other in (("previous", older), ("next", newer))
        if other is not None
    ]
    number = f"{cell_text(run.number)} {escape(run.unit)}" if run.number is not None else "–"
    return (
        f'<tr id="{escape(run.id)}"><th scope="row"><time datetime="{escape(run.started_at)}">'
        f"{escape(run.started_at[:19].replace('T', ' '))}</time></th>"
        f"<td><strong>{escape(run.title or run.name)}</strong>"
        f'<div class="wb-small">{escape(run.name)} {" ".join(links)}</div></td>'
        f'<td>{state_html(run.shown_state)}<div class="wb-small">{escape(run.headline[:240])}</div></td>'
        f'<td class="wb-number">{number}</td><td class="wb-number">{run.seconds:,.1f} s</td>'
        f"<td>{_parameters(run)}</td><td>{''.join(_notebook(run, n) for n in run.notebooks)}</td></tr>"
    )


def _notebook(run: RunRecord, notebook: NotebookRun) -> str:
    folder = escape(run.id)
    page = notebook.paths.get("html")
    name = escape(notebook.name)
    linked = f'<a href="{folder}/{escape(page)}">{name}</a>' if page else name
    status = "interrupted" if notebook.status == "running" and run.state == "interrupted" else notebook.status
    return f"<div>{linked} {state_html(status)}</div>"


def _parameters(run: RunRecord) -> str:
    given: Mapping[str, Any] = {key: value for n in run.notebooks for key, value in n.parameters.items()}
    return "".join(f"<div><code>{escape(f'{k}={parameter_text(v)}')}</code></div>" for k, v in given.items()) or "–"


def _page(rows: str, count: int, unreadable: Sequence[str]) -> str:
    digest = base64.b64encode(hashlib.sha256(_FILTER_SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    heads = "".join(
        f'<th scope="col">{head}</th>'
        for head in ("Started (UTC)", "Run", "Verdict", "Number", "Duration", "Parameters", "Reports")
    )
    lost = f"<p>Not readable: {escape(', '.join(unreadable))}</p>" if unreadable else ""
    empty = "" if count else "<p>There is no run yet. Start one: <code>workbench demo</code></p>"
    table = (
        f"<table><caption>{count:,} runs, newest first</caption><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody>"
    )
    return "\n".join(
        (
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            f"<title>Runs of the workbench</title><style>{style_sheet()} body {{ max-width: 90rem; }}</style></head>",
            "<body><main><h1>Runs of the workbench</h1>",
            f'<label class="wb-filter" hidden>Show runs with <input id="filter" type="search"></label>{empty}{lost}',
            f'<div class="wb-scroll">{table}</table></div></main><script>{_FILTER_SCRIPT}</script></body></html>',
        )
    )
