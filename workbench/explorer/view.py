"""The explorer's widgets and how they lie. It knows no data source; the controller fills it and listens to it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from html import escape
from typing import Any

import ipywidgets as widgets

from workbench.models.investigations import InvestigationStatus, LifecycleStage

ANY = ("any", "")
SECTIONS = ("Facts", "Findings", "Transactions", "Anomalies", "History", "Response", "Similar")
NARROW, DAY, WIDE = "15em", "17em", "22em"
_TIGHT = {"description_width": "initial"}
"""A label as wide as its text, which leaves the rest to the value."""
STYLE = """<style>
.wb-explorer table { border-collapse: collapse; line-height: 1.4; }
.wb-explorer th, .wb-explorer td { padding: 0.15em 0.8em 0.15em 0; text-align: left; vertical-align: top; }
.wb-explorer td.wb-number { text-align: right; }
.wb-explorer caption { text-align: left; font-style: italic; }
.wb-explorer thead th { position: sticky; top: 0; background: var(--jp-layout-color1, Canvas); }
.wb-explorer .wb-page .wb-scroll { max-height: 24em; overflow: auto; }
.wb-explorer a { text-decoration: underline; }
.wb-explorer .wb-alert { color: var(--jp-error-color0, #b71c1c); font-weight: bold; }
</style>"""


class ExplorerView:
    """All widgets by name; `root` is what is displayed.

    Every action is a native control with a visible label, so that the keyboard reaches it.
    """

    def __init__(self) -> None:
        self.text = _input(widgets.Text, "Search", "start of an id, or part of a user", WIDE)
        self.tenant = _choice("Tenant", [])
        self.user = _input(widgets.Text, "User", "exactly this user", NARROW)
        self.status = _choice("Status", [ANY, *((str(s), str(s)) for s in InvestigationStatus)])
        self.stage = _choice("Stage", [ANY, *((str(s), str(s)) for s in LifecycleStage)])
        self.since = widgets.DatePicker(
            description="From day",
            layout=widgets.Layout(width=DAY),
            style=_TIGHT,
            tooltip="first day of the update, UTC",
        )
        self.until = widgets.DatePicker(
            description="To day", layout=widgets.Layout(width=DAY), style=_TIGHT, tooltip="last day of the update, UTC"
        )
        self.risk = widgets.FloatRangeSlider(
            value=(0.0, 1.0),
            min=0.0,
            max=1.0,
            step=0.01,
            description="Risk",
            continuous_update=False,
            layout=widgets.Layout(width=WIDE),
            style=_TIGHT,
        )
        self.clear = _button("Clear filters", "show all investigations again")
        self.cancel = _button("Cancel", "stop the question that is being answered")
        self.previous = _button("Previous page", "newer investigations")
        self.next = _button("Next page", "older investigations")
        self.position = widgets.HTML()
        self.message = widgets.HTML()
        self.table = widgets.HTML()
        self.table.add_class("wb-page")
        self.chooser = widgets.Select(description="Pick", options=[], rows=8, layout=widgets.Layout(width="100%"))
        self.open = _button("Open", "show the picked investigation")
        self.section = widgets.ToggleButtons(description="Show", options=SECTIONS, style={"button_width": "auto"})
        self.before = _choice("From version", [])
        self.after = _choice("To version", [])
        self.versions = _row(self.before, self.after)
        self.heading = widgets.HTML()
        self.detail = widgets.HTML()
        self.detail_box = widgets.VBox([self.heading, self.section, self.versions, self.detail])
        self.root = widgets.VBox(
            [
                widgets.HTML(STYLE),
                _row(self.text, self.tenant, self.user, self.status, self.stage),
                _row(self.since, self.until, self.risk, self.clear),
                _row(self.previous, self.next, self.position, self.cancel),
                self.message,
                self.table,
                _row(self.chooser, self.open),
                self.detail_box,
            ]
        )
        self.root.add_class("wb-explorer")
        self.show_detail(heading=None)

    @property
    def filters(self) -> Sequence[Any]:
        """The widgets whose value is part of the filter."""
        return self.text, self.tenant, self.user, self.status, self.stage, self.since, self.until, self.risk

    def clear_filters(self) -> None:
        """Empty all filters; the tenant stays."""
        for control in (self.text, self.user, self.status, self.stage):
            control.value = ""
        self.since.value = self.until.value = None
        self.risk.value = (0.0, 1.0)

    def set_filters(
        self,
        *,
        tenant: str,
        user: str = "",
        status: str = "",
        stage: str = "",
        since: date | None = None,
        until: date | None = None,
        risk_from: float = 0.0,
        risk_to: float = 1.0,
        text: str = "",
    ) -> None:
        """Set all filters. A tenant that is not among the choices is added to them."""
        self.show_tenants([tenant])
        self.tenant.value, self.user.value, self.status.value, self.stage.value = tenant, user, status, stage
        self.since.value, self.until.value, self.text.value = since, until, text
        self.risk.value = (risk_from, risk_to)

    def show_tenants(self, tenants: Sequence[str]) -> None:
        """Offer these tenants; the chosen one stays."""
        chosen = self.tenant.value
        self.tenant.options = sorted({*tenants, *([chosen] if chosen else [])})
        self.tenant.value = chosen or self.tenant.options[0]

    def show_versions(self, versions: Sequence[str]) -> None:
        """Offer these versions, from the first to the last."""
        self.before.options = self.after.options = versions
        self.before.value, self.after.value = versions[0], versions[-1]

    def busy(self, what: str) -> None:
        """Say what is going on, and let nothing be started beside it but typing and Cancel."""
        self._say(f"{what} …", "status")
        for button in (self.previous, self.next, self.open):
            button.disabled = True
        self.cancel.disabled = False

    def idle(self, *, has_previous: bool, has_next: bool, message: str = "") -> None:
        """Nothing is being asked."""
        self._say(message, "status")
        self.previous.disabled, self.next.disabled = not has_previous, not has_next
        self.open.disabled = not self.chooser.options
        self.cancel.disabled = True

    def error(self, text: str) -> None:
        """Show what went wrong, in place of a traceback that no one would see."""
        self._say(text, "alert")

    def show_page(self, html: str, position: str, choices: Sequence[tuple[str, str]]) -> None:
        """Show a page and what can be opened from it: (label, id)."""
        self.table.value = html
        self.position.value = f'<span class="wb-position">{escape(position)}</span>'
        self.chooser.options = choices
        self.chooser.value = choices[0][1] if choices else None

    def show_detail(self, *, heading: str | None, html: str = "", with_versions: bool = False) -> None:
        """Show a section of an investigation, or nothing where `heading` is None."""
        self.detail_box.layout.display = "none" if heading is None else None
        self.heading.value = f"<h2>{escape(heading or '')}</h2>"
        self.versions.layout.display = None if with_versions else "none"
        self.detail.value = html

    def _say(self, text: str, role: str) -> None:
        self.message.value = f'<p role="{role}" class="wb-{role}">{escape(text)}</p>' if text else ""


def _row(*controls: Any) -> widgets.HBox:
    """Controls beside one another that wrap where the page is narrow. Its layout is its own: it can be hidden."""
    return widgets.HBox(controls, layout=widgets.Layout(flex_flow="row wrap", align_items="center"))


def _input(kind: Any, label: str, hint: str, width: str) -> Any:
    return kind(description=label, placeholder=hint, tooltip=hint, layout=widgets.Layout(width=width), style=_TIGHT)


def _choice(label: str, options: Sequence[Any]) -> widgets.Dropdown:
    return widgets.Dropdown(description=label, options=options, layout=widgets.Layout(width=NARROW), style=_TIGHT)


def _button(label: str, hint: str) -> widgets.Button:
    return widgets.Button(description=label, tooltip=hint)
