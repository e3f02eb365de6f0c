"""Pick an anomaly and see its nearest neighbours: the small explorer of notebook 11."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future
from html import escape

import ipywidgets as widgets
import pandas as pd

from workbench.errors import WorkbenchError
from workbench.explorer.model import ExplorerModel
from workbench.explorer.part import Part, part_html
from workbench.explorer.view import STYLE

_LOG = logging.getLogger(__name__)
_WIDE = widgets.Layout(width="100%")


class NeighbourPicker:
    """A list of anomalies and a field for any other's id; `root` is what is displayed.

    Questions run on the model's loop, their answers are applied on the loop that ran when the picker was made (a
    kernel's), or on the model's own where none did. Only the newest question's answer is shown.

    Args:
        model: answers.
        tenant: whose anomalies.
        offered: the anomalies to pick from, as `anomaly_part` has them.
        anomaly_id: picked at the start; empty: none.
        limit: how many neighbours.
        severity: look only among these; empty: any.
    """

    def __init__(
        self,
        model: ExplorerModel,
        tenant: str,
        offered: pd.DataFrame,
        *,
        anomaly_id: str = "",
        limit: int = 10,
        severity: str = "",
    ) -> None:
        self._model, self._tenant, self._limit, self._severity = model, tenant, limit, severity
        self._running: Future[Part] | None = None
        try:
            self._home: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._home = None
        choices = [
            (f"{row['created (UTC)']:%Y-%m-%d %H:%M} · {row['severity']} · {row['metric']} · {row['cohort']}", id_)
            for id_, row in zip(offered["anomaly"], offered.to_dict("records"), strict=True)
        ]
        self.chooser = widgets.Select(description="Pick", options=choices, value=None, rows=8, layout=_WIDE)
        self.wanted = widgets.Text(
            description="Or its id", value=anomaly_id, continuous_update=False, layout=widgets.Layout(width="30em")
        )
        self.message = widgets.HTML()
        self.answer = widgets.HTML()
        self.root = widgets.VBox([widgets.HTML(STYLE), self.chooser, self.wanted, self.message, self.answer])
        self.root.add_class("wb-explorer")
        self.chooser.observe(lambda change: self.pick(change["new"]), names="value")
        self.wanted.observe(lambda change: self._ask(change["new"].strip()), names="value")
        self._ask(anomaly_id)

    def pick(self, anomaly_id: str | None) -> None:
        """Put an id into the field, and so ask for its neighbours."""
        if anomaly_id:
            self.wanted.value = anomaly_id

    def _ask(self, anomaly_id: str) -> None:
        if self._running:
            self._running.cancel()
            self._running = None
        if not anomaly_id:
            return
        self._say(f"Searching for neighbours of {anomaly_id} …", "status")
        question = self._model.neighbours(self._tenant, anomaly_id, limit=self._limit, severity=self._severity or None)
        asked = self._running = self._model.submit(question)
        asked.add_done_callback(lambda answer: self._deliver(lambda: self._show(answer, anomaly_id)))

    def _show(self, answer: Future[Part], anomaly_id: str) -> None:
        if answer is not self._running or answer.cancelled():
            return
        try:
            self.answer.value = part_html(answer.result())
            self._say(f"Neighbours of {anomaly_id}.", "status")
        except WorkbenchError as error:
            self._say(str(error), "alert")
        except Exception as error:  # shown, because nobody sees a traceback of a callback
            _LOG.exception("explorer")
            self._say(f"Unexpected {type(error).__name__}. The log has its traceback.", "alert")

    def _deliver(self, function: Callable[[], None]) -> None:
        if self._home is not None and self._home.is_running():
            self._home.call_soon_threadsafe(function)
        else:
            function()

    def _say(self, text: str, role: str) -> None:
        if role == "alert":
            self.answer.value = ""  # not the neighbours of another one
        self.message.value = f'<p role="{role}" class="wb-{role}">{escape(text)}</p>'
