"""Where partitions run: worker processes of this machine, this process itself, or a Dask cluster."""

from __future__ import annotations

import signal
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

from workbench.errors import ConfigurationError, UnavailableError
from workbench.settings import Settings


def local_processes(settings: Settings) -> Executor:
    """`settings.workers` spawned processes: encoding holds the interpreter lock, and clients do not survive fork."""
    return ProcessPoolExecutor(settings.workers, mp_context=get_context("spawn"), initializer=_ignore_interrupt)


def this_process(settings: Settings) -> Executor:
    """One thread of this process: for small data, debugging and profiling."""
    return ThreadPoolExecutor(1)


def dask_cluster(address: str) -> tuple[Callable[[Settings], Executor], str]:
    """A factory of executors on the Dask cluster whose scheduler listens at `address`, and its dashboard's link.

    The workers need this package and reach both servers by the WORKBENCH_ variables of their own environment.

    Raises:
        ConfigurationError: the extra [cluster] is not installed.
        UnavailableError: no scheduler answers.
    """
    try:
        from distributed import Client
    except ImportError:
        raise ConfigurationError("Dask is not installed.", todo="Run `pip install -e '.[cluster]'`.") from None
    try:
        client = Client(address, timeout=10, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UnavailableError(
            f"No Dask scheduler answers at {address}.", todo="Start one with `dask scheduler`."
        ) from error
    return (lambda settings: client.get_executor(pure=False, retries=3)), str(client.dashboard_link)


def _ignore_interrupt() -> None:
    """Ctrl-C reaches the whole process group; the driver decides, and workers finish the partition at hand."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
