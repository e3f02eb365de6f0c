"""Where partitions run: worker processes of this machine, this process itself, or a Dask cluster."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_all_start_methods, get_context, parent_process
from typing import TYPE_CHECKING, Any

from workbench.errors import ConfigurationError, UnavailableError
from workbench.migration.worker import Job
from workbench.settings import Settings

if TYPE_CHECKING:
    from distributed import Client


def local_processes(settings: Settings, module: str = "workbench.migration.worker") -> Executor:
    """`settings.workers` processes, because encoding holds the interpreter lock.

    They are forked by a server of processes that has imported the module whose functions they run and opened nothing
    (clients do not survive a fork): three of them are there in a quarter of a second, where each would import for two
    thirds.
    """
    method = "forkserver" if "forkserver" in get_all_start_methods() else "spawn"  # Windows has spawn alone
    context = get_context(method)
    context.set_forkserver_preload([module])
    return ProcessPoolExecutor(
        settings.workers, mp_context=context, initializer=_prepare_worker, initargs=(dict(os.environ),)
    )


def this_process(settings: Settings) -> Executor:
    """One thread of this process: for small data, debugging and profiling."""
    return ThreadPoolExecutor(1)


def dask_cluster(address: str) -> tuple[Callable[[Settings], Executor], str]:
    """A factory of executors on the Dask cluster whose scheduler listens at `address`, and its dashboard's link.

    The workers need this package. No password goes over the network: they take what is secret, the URIs of both
    servers, from the WORKBENCH_ variables or the `.env` of their own machine.

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
    return (lambda settings: _Cluster(client)), str(client.dashboard_link)


class _Cluster(Executor):
    """Tasks on a Dask cluster, given without secrets, and taken back when the run is interrupted."""

    def __init__(self, client: Client) -> None:
        self._tasks = client.get_executor(pure=False)

    def submit(self, function: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
        public = (item.without_secrets() if isinstance(item, Job) else item for item in arguments)
        future: Future[Any] = self._tasks.submit(function, *public, **named)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End; with `cancel_futures`, tasks that wait on the cluster are cancelled, and running ones not waited for."""
        self._tasks.shutdown(wait=wait and not cancel_futures)


def chosen(scheduler: str = "") -> tuple[Callable[[Settings], Executor], str]:
    """The executor for the address of a Dask scheduler, or local processes for none; and a sentence that says which."""
    if not scheduler:
        return local_processes, "Running in worker processes of this machine."
    factory, dashboard = dask_cluster(scheduler)
    return factory, f"Running on the Dask cluster at {scheduler}; dashboard: {dashboard}"


_OBJECTS_BETWEEN_COLLECTIONS = 100_000


def _prepare_worker(environment: dict[str, str]) -> None:
    """Make a process that builds documents and nothing else, in the driver's environment as it is now.

    Its objects form no cycles and go away with their batch; looking for cycles every 700 of them takes a fifth of the
    time of a flat table.
    """
    os.environ.clear()
    os.environ.update(environment)
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    _follow_driver()


def _follow_driver() -> None:
    """Leave Ctrl-C, which reaches the whole process group, to the driver; and end when it is killed.

    Without this a pool's worker outlives a killed driver for ever, waiting for work that nobody can send.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_driver, name="driver-watch", daemon=True).start()


def _end_with_driver() -> None:
    driver = parent_process()
    if driver is not None:
        driver.join()
        os._exit(1)
