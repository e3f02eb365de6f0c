"""Reports and the index: one file, no request, no script needed, one H1, verdict first, everything escaped."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest

from workbench.reporting.html import MAX_BYTES, title_of, write_report
from workbench.reporting.index import refresh_index
from workbench.reporting.parameters import Parameter
from workbench.reporting.runs import NotebookRun, RunRecord

EVIL = "<script>alert(1)</script>"
PNG = base64.b64encode(b"\x89PNG fake").decode()
new = nbformat.v4


class Page(HTMLParser):
    """The tags of a page with their attributes, in order, and the text of its H1s."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def executed(*outputs: nbformat.NotebookNode, source: str = "1") -> nbformat.NotebookNode:
    cells = [
        new.new_markdown_cell("# Is it there?\n\nIntroduction."),
        new.new_code_cell("tables = []", metadata={"tags": ["parameters"]}),
        new.new_markdown_cell("## Check"),
        new.new_code_cell(source, outputs=list(outputs), execution_count=2),
    ]
    return new.new_notebook(cells=cells)


def report(tmp_path: Path, nb: nbformat.NotebookNode, run: NotebookRun) -> str:
    path = tmp_path / f"{run.name}.ipynb"
    nbformat.write(nb, path)
    parameter = Parameter("tables", "list[str]", [], f"tables {EVIL}", "list[str]")
    return write_report(path, run, [parameter], siblings=["a", run.name]).read_text()


GOOD = NotebookRun(
    "n",
    title="Is it there?",
    status="passed",
    verdict={
        "status": "good",
        "headline": f"All {EVIL}",
        "number": 3,
        "unit": "rows",
        "numbers": {EVIL: EVIL},
        "failures": [],
    },
    versions={"mongodb": EVIL},
    parameters={"tables": [EVIL]},
    rerun_command=f"workbench run n -p x={EVIL}",
)


def test_a_report_asks_for_nothing_and_needs_no_script(tmp_path: Path) -> None:
    html = report(tmp_path, executed(), GOOD)
    page = Page(html)
    assert page.all("script") == page.all("link") == page.all("iframe") == []
    assert all((a["src"] or "").startswith("data:") for a in page.all("img"))
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert not re.search(r"""(?:src|href)=["'](?:https?:)?//|@import|url\(""", html)


def test_a_report_has_a_language_and_one_h1(tmp_path: Path) -> None:
    page = Page(report(tmp_path, executed(), GOOD))
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == 1


def test_the_verdict_comes_before_the_cells_and_parameters_come_last(tmp_path: Path) -> None:
    html = report(tmp_path, executed(), GOOD)
    places = [html.index(text) for text in ("<h1>", "GOOD", "Introduction", "Check", "Parameters and provenance")]
    assert places == sorted(places)
    assert "tables = []" not in html


def test_outputs_of_every_kind_are_escaped(tmp_path: Path) -> None:
    outputs = [
        new.new_output("stream", name="stdout", text=EVIL),
        new.new_output("stream", name="stderr", text=EVIL),
        new.new_output("display_data", {"text/plain": EVIL}),
        new.new_output("display_data", {"application/javascript": "alert(1)", "text/plain": "js"}),
        new.new_output("error", ename=EVIL, evalue=EVIL, traceback=[EVIL]),
    ]
    page = Page(report(tmp_path, executed(*outputs, source=f"'{EVIL}'"), GOOD))
    assert page.all("script") == []


def test_figures_keep_their_alternative_text(tmp_path: Path) -> None:
    figure = new.new_output("display_data", {"image/png": PNG}, metadata={"image/png": {"alt": 'b "leads" <a>'}})
    page = Page(report(tmp_path, executed(figure), GOOD))
    assert [a["alt"] for a in page.all("img")] == ['b "leads" <a>']


def test_code_is_folded(tmp_path: Path) -> None:
    html = report(tmp_path, executed(source="show_me()"), GOOD)
    assert re.search(r'<details class="wb-code"><summary>Code of cell 2</summary><pre><code>show_me\(\)', html)


def test_the_verdict_is_not_repeated_among_the_cells(tmp_path: Path) -> None:
    banner = new.new_output("execute_result", {"text/html": "REPEATED"}, metadata={"workbench": {"role": "verdict"}})
    assert "REPEATED" not in report(tmp_path, executed(banner), GOOD)


def test_logs_in_a_row_are_one_fold(tmp_path: Path) -> None:
    lines = [new.new_output("stream", name="stderr", text=f"line {i}\n") for i in range(3)]
    assert report(tmp_path, executed(*lines), GOOD).count("Log, 3 lines") == 1


def test_a_report_stays_small(tmp_path: Path) -> None:
    outputs = [new.new_output("display_data", {"image/png": "A" * 900_000}) for _ in range(4)]
    outputs.append(new.new_output("stream", name="stdout", text="x" * 3_000_000))
    html = report(tmp_path, executed(*outputs), GOOD)
    assert len(html.encode()) < MAX_BYTES
    assert html.count("This output is left out") == 3


def test_a_broken_run_says_where_why_and_how_to_run_it_again(tmp_path: Path) -> None:
    run = replace(GOOD, status="dead_kernel", cell=4, heading="Load", error=f"It died.\nlog {EVIL}", verdict=None)
    html = report(tmp_path, executed(), run)
    for text in ("DEAD KERNEL", "broke in cell 4 (Load): It died.", "Run it again", "workbench run n"):
        assert text in html
    assert EVIL not in html


def test_a_run_that_broke_before_a_notebook_was_written_has_a_report(tmp_path: Path) -> None:
    run = replace(GOOD, status="dead_kernel", error="The kernel did not start.", verdict=None)
    assert "The kernel did not start." in write_report(tmp_path / "n.ipynb", run).read_text()


def test_samples_of_failures_head_the_page_with_a_link_to_all(tmp_path: Path) -> None:
    wanting = {**(GOOD.verdict or {}), "status": "wanting", "failures": [{"key": EVIL}], "failure_rows": 1234}
    html = report(tmp_path, executed(), replace(GOOD, status="wanting", verdict=wanting))
    assert "What was found wanting (1,234 in all)" in html
    assert 'href="n/data/failures.csv"' in html
    assert html.index("found wanting") < html.index("Introduction")


def test_title_is_the_first_h1() -> None:
    assert title_of(executed()) == "Is it there?"
    assert title_of(new.new_notebook()) == ""


def write_run(reports: Path, stamp: str, name: str = "demo", **changes: object) -> RunRecord:
    folder = reports / f"{stamp}-{name}"
    folder.mkdir(parents=True)
    record = RunRecord(
        folder.name, name, f"Title {EVIL}", f"2026-11-24T00:00:{stamp}Z", folder, state="done", verdict="good"
    )
    record = replace(record, **changes)  # type: ignore[arg-type]
    record.write()
    return record


def test_the_index_lists_runs_newest_first_with_links_to_their_neighbours(tmp_path: Path) -> None:
    notebook = NotebookRun("a", status="passed", paths={"html": "a.html"}, parameters={"x": EVIL})
    write_run(tmp_path, "01", notebooks=(notebook,), number=1234, unit="rows")
    write_run(tmp_path, "02", name="other")
    write_run(tmp_path, "03", verdict="wanting", headline=EVIL)
    html = refresh_index(tmp_path).read_text()
    assert [a["id"] for a in Page(html).all("tr") if "id" in a] == ["03-demo", "02-other", "01-demo"]
    assert '<a href="#01-demo">previous</a>' in html
    assert '<a href="#03-demo">next</a>' in html
    assert 'href="01-demo/a.html"' in html
    for text in ("1,234 rows", "✔", "▲", "wanting", "x=&lt;script&gt;"):
        assert text in html
    assert EVIL not in html


def test_the_only_script_of_the_index_is_the_one_its_policy_names(tmp_path: Path) -> None:
    html = refresh_index(tmp_path).read_text()
    [script] = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html
    assert "There is no run yet" in html


def test_the_index_shows_runs_whose_process_is_gone_as_interrupted(tmp_path: Path) -> None:
    write_run(
        tmp_path,
        "01",
        state="running",
        verdict=None,
        pid=1,
        pid_started=1.0,
        notebooks=(NotebookRun("a", status="running"),),
    )
    html = refresh_index(tmp_path).read_text()
    assert html.count("interrupted") == 2
    assert "running" not in html


def test_the_index_names_what_it_cannot_read(tmp_path: Path) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "run.json").write_text("{")
    assert "Not readable: odd" in refresh_index(tmp_path).read_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_on_cards_have_enough_contrast(scheme: str) -> None:
    css = (Path(write_report.__code__.co_filename).parent / "templates" / "report" / "report.css").read_text()
    light, dark = re.findall(r":root \{([^}]*)\}", css)
    colours = dict(re.findall(r"--(\w+): (#\w+)", dark if scheme == "dark" else light))
    for name in ("ink", "soft", "link", "good", "wanting", "bad", "busy", "neutral"):
        for ground in ("paper", "card"):
            assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)


def contrast(first: str, second: str) -> float:
    """The contrast ratio of WCAG 2 between two colours."""

    def luminance(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(2 * d for d in colour[1:])
        channels = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)
