"""What the notebooks call: the explorer where someone can use it, and its parts as static output where not."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable
from html import escape

import pandas as pd
from IPython.display import Javascript, display

from workbench.explorer.controller import ExplorerController
from workbench.explorer.dossier import Dossier
from workbench.explorer.investigations import InvestigationFilter
from workbench.explorer.model import ExplorerModel
from workbench.explorer.operations import OperationsOverview
from workbench.explorer.part import Part, exports_html, for_people, missing_glyphs_allowed, queries_html
from workbench.explorer.picker import NeighbourPicker
from workbench.explorer.view import ExplorerView
from workbench.reporting import RUN_DIR_VARIABLE
from workbench.reporting.notebook import Verdict, show_figure, show_table, verdict
from workbench.settings import Settings, load_settings

_OWN_KEYS = """document.addEventListener("focusin", (event) => {
  if (event.target.closest?.(".wb-explorer")) event.target.dataset.lmSuppressShortcuts = "true";
});"""
"""Without it JupyterLab takes the arrow keys and letters that are meant for a list of the explorer."""


def open_explorer(settings: Settings | None = None) -> ExplorerModel:
    """A model on the target that the environment names; closed when the kernel ends.

    Raises:
        ConfigurationError: a setting is wrong.
    """
    model = ExplorerModel(settings or load_settings())
    atexit.register(model.close)
    return model


def is_headless() -> bool:
    """Whether the runner of notebooks executes this, so that no one can click."""
    return bool(os.environ.get(RUN_DIR_VARIABLE))


def explore(model: ExplorerModel, start: InvestigationFilter, investigation_id: str = "") -> ExplorerController | None:
    """Show the explorer with a filter set, and one investigation open if one is named.

    Headless, the first page stands there as a table, unless one investigation is asked for; and None is returned.
    """
    if is_headless():
        if not investigation_id:
            page = model.run(model.page(start))
            show_part(page.part, note=page.position)
        return None
    controller = ExplorerController(model, ExplorerView(), start, investigation_id=investigation_id)
    display(controller.view.root)
    display(Javascript(_OWN_KEYS))
    return controller


def pick_neighbours(
    model: ExplorerModel, tenant: str, offered: Part, anomaly_id: str, *, limit: int, severity: str
) -> NeighbourPicker | None:
    """Show the nearest neighbours of an anomaly, and where someone can click a list to pick another one from.

    Headless, the neighbours of `anomaly_id` stand there, if one is given; and None is returned.

    Raises:
        InvalidInput: headless, the id is no UUID or the limit is not from 1 to 100.
        NotFound: headless, the tenant has no such anomaly.
    """
    if is_headless():
        if anomaly_id:
            found = model.run(model.neighbours(tenant, anomaly_id, limit=limit, severity=severity or None))
            show_part(found, note=f"Neighbours of {anomaly_id}.")
        return None
    picker = NeighbourPicker(model, tenant, offered.frame, anomaly_id=anomaly_id, limit=limit, severity=severity)
    display(picker.root)
    display(Javascript(_OWN_KEYS))
    return picker


def show_parts(parts: Iterable[Part]) -> None:
    """Show parts one under another; see `show_part`."""
    for part in parts:
        show_part(part)


def show_part(part: Part, note: str = "") -> None:
    """Show a part as a report has it: heading, note, figure or table, its data, its query."""
    said = "".join(f"<p>{escape(text)}</p>" for text in (part.note, note) if text)
    _show_html(f"<h3>{escape(part.title)}</h3>{said}", part.title)
    figure = part.figure()
    if figure is not None:
        with missing_glyphs_allowed():
            show_figure(figure, part.alt, part.frame)
    else:
        show_table(for_people(part.frame), part.title, headed=True)
    # Under the runner the data are a file beside the report.
    _show_html(queries_html(part) if is_headless() else exports_html(part), "[Data and query]")


def dossier_verdict(tenant: str, investigation_id: str, dossier: Dossier | None) -> Verdict:
    """Good if the investigation was found and its history has an entry for each of its versions."""
    if dossier is None:
        missing = f"investigation {investigation_id!r}" if investigation_id else "completed investigation"
        return verdict("wanting", f"Tenant {tenant!r} has no {missing}.")
    found = dossier.investigation
    risk = (found.get("results") or {}).get("risk_score")
    said = f"{dossier.investigation_id} is {found['status']}, " + (
        "without a risk score" if risk is None else f"risk score {risk:.2f}"
    )
    numbers = {"version": found["version"], "audit entries": len(dossier.entries), "anomalies": len(dossier.anomalies)}
    if dossier.missing_versions:
        gaps = pd.DataFrame({"version": dossier.missing_versions})
        said += f"; its history lacks {len(gaps)} of {found['version']} versions"
        return verdict("wanting", f"{said}.", number=risk, unit="risk score", numbers=numbers, failures=gaps)
    return verdict("good", f"{said}; its history is complete.", number=risk, unit="risk score", numbers=numbers)


def operations_verdict(overview: OperationsOverview) -> Verdict:
    """Good unless connections count as active although they have expired."""
    connections = overview.connections.frame
    numbers = {
        "failed tool actions": int(overview.actions.frame["failed"].sum()),
        "failed playbook executions": int(overview.playbooks.frame["failed"].sum()),
        "connections that expire soon": len(connections),
    }
    if overview.overdue:
        late = connections[connections["days left"] < 0]
        said = f"{overview.overdue} connections count as active although they have expired."
        return verdict(
            "wanting",
            said,
            number=overview.overdue,
            unit="overdue connections",
            numbers=numbers,
            failures=for_people(late),
        )
    return verdict("good", "No connection is overdue.", number=0, unit="overdue connections", numbers=numbers)


def _show_html(html: str, text: str) -> None:
    if html:
        display({"text/html": html, "text/plain": text}, raw=True)
