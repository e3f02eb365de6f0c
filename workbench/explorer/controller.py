"""What happens when someone types or clicks: ask the model without blocking, and show only the newest answer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from html import escape
from typing import Any

from workbench.errors import WorkbenchError
from workbench.explorer.dossier import Dossier
from workbench.explorer.investigations import PAGE_ROWS, InvestigationFilter, InvestigationPage
from workbench.explorer.model import ExplorerModel
from workbench.explorer.part import Part, part_html
from workbench.explorer.view import SECTIONS, ExplorerView

DEBOUNCE_SECONDS = 0.25
_LOG = logging.getLogger(__name__)
_PARTS = {"Facts": (0, 1), "Findings": (1, 2), "Transactions": (2, 4), "Anomalies": (4, 5), "History": (5, 6)}
"""Section -> the dossier's parts; Response is the rest of them, Similar is asked for when it is shown."""


@dataclass
class _Half:
    """The newest question of one half of the view, the list or the detail; `what` is empty where none is open."""

    number: int = 0
    running: Future[Any] | None = None
    what: str = ""
    error: str = ""


class ExplorerController:
    """Connects a view with a model.

    Questions run on the model's loop; their answers are applied on the loop that ran when the controller was made
    (a kernel's), or on the model's own where none did. The list and the detail each have one question at a time: a
    newer one cancels it, and its answer is dropped. Neither disturbs the other, or a click on the detail would leave
    a list that is not the one that the filters say.

    Args:
        model: answers.
        view: shows.
        start: the first filter.
        investigation_id: opened at the start, if given.
        debounce_seconds: a filter is applied when nothing was typed for so long.
    """

    def __init__(
        self,
        model: ExplorerModel,
        view: ExplorerView,
        start: InvestigationFilter,
        *,
        investigation_id: str = "",
        debounce_seconds: float = DEBOUNCE_SECONDS,
    ) -> None:
        self.model, self.view = model, view
        self._debounce_seconds = debounce_seconds
        self._list, self._detail = _Half(), _Half()
        self._done = threading.Event()
        self._page: InvestigationPage | None = None
        self._shown = start  # the filter of the page
        self._starts: list[Any] = [None]  # the key after which each page begins, up to the one that is shown
        self._dossier: Dossier | None = None
        self._similar: tuple[Part, Part] | None = None
        self._listening = True
        try:
            self._home: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._home = None
        self._fill(start)
        self._listen()
        self.search()
        if investigation_id:
            self.open(investigation_id)

    @property
    def wanted(self) -> InvestigationFilter:
        """The filter that the widgets show."""
        view = self.view
        low, high = view.risk.value
        return InvestigationFilter(
            tenant=view.tenant.value,
            user=view.user.value.strip(),
            status=view.status.value,
            stage=view.stage.value,
            since=view.since.value,
            until=view.until.value,
            risk_from=low,
            risk_to=high,
            text=view.text.value,
        )

    def search(self, *, debounced: bool = False) -> None:
        """Show the first page of what is wanted."""
        self._ask_page([None], debounced=debounced)

    def next_page(self) -> None:
        """Show the page after the present one; the first one where the filters are not those of the page any more."""
        if self._is_outdated():
            self.search()
        elif self._page and self._page.next_key:
            self._ask_page([*self._starts, self._page.next_key])

    def previous_page(self) -> None:
        """Show the page before the present one; the first one where the filters are not those of the page any more."""
        if self._is_outdated():
            self.search()
        elif len(self._starts) > 1:
            self._ask_page(self._starts[:-1])

    def _is_outdated(self) -> bool:
        """Whether the page answers another filter: the question for the present one was cancelled, or failed."""
        return self.wanted != self._shown

    def open(self, investigation_id: str) -> None:
        """Show one investigation of the tenant whose list is shown."""
        tenant = self._shown.tenant

        def show(dossier: Dossier) -> None:
            self._dossier, self._similar = dossier, None
            with self._unheard():
                self.view.show_versions([str(version) for version in dossier.versions])
                self.view.section.value = SECTIONS[0]
            self._show_section()
            if dossier.anomalies:
                self.model.submit(self.model.warm_up(tenant))

        self._ask(self._detail, f"Opening {investigation_id}", self.model.dossier(tenant, investigation_id), show)

    def cancel(self) -> None:
        """Stop what is being asked; what is shown stays."""
        for half in (self._list, self._detail):
            half.number += 1
            half.what = ""
            if half.running:
                half.running.cancel()
        self._show_state("Cancelled.")

    def settle(self, timeout_seconds: float = 30.0) -> None:
        """Wait until no question is open; for use outside a kernel.

        Raises:
            TimeoutError: one still is.
        """
        deadline = time.monotonic() + timeout_seconds
        if not self._done.wait(max(0.0, deadline - time.monotonic())):
            raise TimeoutError(f"The explorer still asks after {timeout_seconds:g} s.")

    def _fill(self, start: InvestigationFilter) -> None:
        """Set the widgets. Which tenants there are is asked beside everything else: the filter works without."""
        self.view.set_filters(**vars(start))

        def show(answer: Future[list[str]]) -> None:
            if not answer.cancelled() and answer.exception() is None:
                with self._unheard():
                    self.view.show_tenants(answer.result())

        self.model.submit(self.model.tenants()).add_done_callback(lambda answer: self._deliver(show, answer))

    @contextlib.contextmanager
    def _unheard(self) -> Iterator[None]:
        """Values that are set meanwhile count as nobody's input."""
        self._listening = False
        try:
            yield
        finally:
            self._listening = True

    def _listen(self) -> None:
        view = self.view
        view.clear.on_click(lambda _: self._clear())
        view.cancel.on_click(lambda _: self.cancel())
        view.next.on_click(lambda _: self.next_page())
        view.previous.on_click(lambda _: self.previous_page())
        view.open.on_click(lambda _: self.open(view.chooser.value) if view.chooser.value else None)
        for control in view.filters:
            control.observe(self._filter_changed, names="value")
        for control in (view.section, view.before, view.after):
            control.observe(self._section_changed, names="value")

    def _clear(self) -> None:
        with self._unheard():
            self.view.clear_filters()
        self.search()  # also where no filter was set: the list may be old

    def _filter_changed(self, _: object) -> None:
        if self._listening:
            self.search(debounced=True)

    def _section_changed(self, _: object) -> None:
        if self._listening:
            self._show_section()

    def _ask_page(self, starts: list[Any], *, debounced: bool = False) -> None:
        """Ask for the page that begins after the last of `starts`; they count once it is shown."""
        first = (len(starts) - 1) * PAGE_ROWS + 1  # only a full page has another after it
        about = self._page.about if self._page and len(starts) > 1 else None
        wanted = self.wanted

        async def answer() -> InvestigationPage:
            if debounced:
                await asyncio.sleep(self._debounce_seconds)
            return await self.model.page(wanted, after=starts[-1], first=first, about=about)

        def show(page: InvestigationPage) -> None:
            self._page, self._starts, self._shown = page, starts, wanted
            rows = page.part.frame.to_dict("records")
            choices = [
                (f"{page.first + i}. {row['investigation']} · {row['user']} · {row['status']}", id_)
                for i, (row, id_) in enumerate(zip(rows, page.ids, strict=True))
            ]
            self.view.show_page(part_html(page.part, heading=False), page.position, choices)

        self._ask(self._list, "Searching", answer(), show)

    def _show_section(self) -> None:
        if self._dossier is None:
            return
        section, dossier = self.view.section.value, self._dossier
        if section == "Similar" and self._similar is None:
            self._ask_similar(dossier)
            return
        if section == "Similar":
            parts: tuple[Part, ...] = self._similar or ()
        elif section == "Response":
            parts = dossier.parts[6:]
        else:
            start, end = _PARTS[section]
            parts = dossier.parts[start:end]
        if section == "History" and self.view.before.value and self.view.after.value:
            parts = (*parts, dossier.difference(int(self.view.before.value), int(self.view.after.value)))
        self.view.show_detail(
            heading=dossier.investigation_id,
            html="".join(_html_of(part) for part in parts),
            with_versions=section == "History",
        )

    def _ask_similar(self, dossier: Dossier) -> None:
        def show(parts: tuple[Part, Part]) -> None:
            self._similar = parts
            self._show_section()

        self.view.show_detail(heading=dossier.investigation_id)  # not the section before, under this one's name
        question = self.model.similar(str(dossier.investigation["tenant_id"]), dossier)
        self._ask(self._detail, "Searching for similar ones", question, show)

    def _ask(self, half: _Half, what: str, question: Coroutine[Any, Any, Any], show: Callable[[Any], None]) -> None:
        """Start a question in place of the one that this half of the view asks."""
        half.number += 1
        number = half.number
        if half.running:
            half.running.cancel()
        half.what = what
        self._list.error = self._detail.error = ""
        self._show_state()
        half.running = self.model.submit(question)
        half.running.add_done_callback(lambda future: self._deliver(self._answered, half, future, number, show))

    def _answered(self, half: _Half, future: Future[Any], number: int, show: Callable[[Any], None]) -> None:
        if number != half.number or future.cancelled():
            return
        half.what = ""
        try:
            show(future.result())
        except WorkbenchError as error:
            half.error = str(error)
        except Exception as error:  # shown, because nobody sees a traceback of a callback
            _LOG.exception("explorer")
            half.error = f"Unexpected {type(error).__name__}. The log has its traceback."
        self._show_state()

    def _deliver(self, function: Callable[..., None], *arguments: Any) -> None:
        if self._home is not None and self._home.is_running():
            self._home.call_soon_threadsafe(function, *arguments)
        else:
            function(*arguments)

    def _show_state(self, message: str = "") -> None:
        """Show what is being asked, or else what went wrong; and whether `settle` has to wait."""
        asked = [half.what for half in (self._list, self._detail) if half.what]
        errors = [half.error for half in (self._list, self._detail) if half.error]
        if asked:
            self._done.clear()
            self.view.busy(", ".join(asked))
            return
        more = bool(self._page and self._page.next_key)
        self.view.idle(has_previous=len(self._starts) > 1, has_next=more, message=message)
        if errors:
            self.view.error(" ".join(errors))
        self._done.set()


def _html_of(part: Part) -> str:
    """A part as HTML. One that cannot be shown says so in its place; the others of its section stay."""
    try:
        return part_html(part)
    except Exception as error:  # data may be of any kind, and nobody sees a traceback of a callback
        _LOG.exception("explorer")
        said = f"This cannot be shown: unexpected {type(error).__name__}. The log has its traceback."
        return f'<h3>{escape(part.title)}</h3><p role="alert" class="wb-alert">{said}</p>'
