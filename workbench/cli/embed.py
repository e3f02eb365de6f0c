"""`workbench embed`."""

from __future__ import annotations

import typer

from workbench.progress import progress
from workbench.settings import configure_logging, load_settings


def embed() -> None:
    """Give every anomaly a vector of the present embedding model; those that have one are left alone.

    Run it after a change of WORKBENCH_EMBEDDING_MODEL. The same command resumes.
    """
    from workbench.similarity.reembed import reembed

    settings = load_settings()
    configure_logging(settings)
    with progress(None, "embed", "anomalies") as bar:

        def on_progress(written: int, total: int) -> None:
            bar.total = total
            bar.update(written - bar.done)

        result = reembed(settings, on_progress=on_progress)
    typer.echo(
        f"{result.embedding_model}: {result.written:,} anomalies embedded anew, {result.up_to_date:,} were up to date, "
        f"{result.elapsed_seconds:.1f} s"
    )
