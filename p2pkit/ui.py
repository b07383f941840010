"""MLflow's user interface: which store, which address leads straight to a useful page, and a server on loopback."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import webbrowser
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import quote, unquote

from p2pkit.errors import ModelError, P2pkitError, Problem

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

HOST = "127.0.0.1"
PORT = 5000
NOTE = "mlflow.id"
"""File in a run's folder in which the tracker keeps the run's id."""
SWEEP = "p2pkit.sweep"
VIEW = "p2pkit"
_SQLITE = "sqlite:///"
_PATIENCE = 120.0


def tracking_uri() -> str:
    """Return where runs are recorded.

    Returns:
        What MLFLOW_TRACKING_URI or `mlflow.set_tracking_uri` says, else a database in the working folder.
    """
    import mlflow

    if mlflow.is_tracking_uri_set():
        return str(mlflow.get_tracking_uri())
    path = str(Path("mlflow.db").absolute()).replace("%", "%25")  # MLflow decodes these paths
    return f"{_SQLITE}{path}"


def client() -> MlflowClient:
    """Return a client of the store.

    Raises:
        ModelError: There is no store yet.
    """
    uri = tracking_uri()
    _check_exists(uri)
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Pages of MLflow's interface that are of use for p2pkit's runs.

    MLflow 3 opens experiments in a view for language models unless an address says otherwise, as these do.

    Args:
        base: The server's address.
        experiment_id: MLflow's id of the experiment.
        experiment: Its name.
    """

    base: str
    experiment_id: str
    experiment: str

    @property
    def runs(self) -> str:
        """The experiment's runs as a table."""
        return f"{self.base}/#/experiments/{self.experiment_id}/runs?workflowType=machine_learning"

    @property
    def charts(self) -> str:
        """The experiment's runs as charts and sample pictures."""
        return f"{self.runs}&compareRunsMode=CHART"

    def view(self, key: str) -> str:
        """Return the experiment's runs as charts in a saved view."""
        return f"{self.charts}&viewStateShareKey={key}"

    def run(self, run_id: str) -> str:
        """Return the page of one run."""
        return f"{self.base}/#/experiments/{self.experiment_id}/runs/{run_id}?workflowType=machine_learning"

    def compare(self, run_ids: Sequence[str]) -> str:
        """Return the page that shows runs side by side, with parallel coordinates of what differs."""
        runs, experiments = (quote(json.dumps(list(ids))) for ids in (run_ids, [self.experiment_id]))
        return f"{self.base}/#/compare-runs?runs={runs}&experiments={experiments}&workflowType=machine_learning"


def addresses(experiment: str | None = None, *, base: str | None = None) -> Addresses:
    """Find an experiment in the store, and say where the interface shows it.

    Args:
        experiment: Its name; by default the one with the latest run.
        base: The server's address; by default the store's own, where it is a server, else `p2pkit ui`'s.

    Raises:
        ModelError: Nothing is recorded yet, or there is no such experiment.
    """
    uri, store = tracking_uri(), client()
    known = {found.name: str(found.experiment_id) for found in store.search_experiments()}
    if experiment is None:
        latest = store.search_runs(list(known.values()), order_by=["attributes.start_time DESC"], max_results=1)
        if not latest:
            raise _nothing_yet(uri)
        experiment = store.get_experiment(latest[0].info.experiment_id).name
    if experiment not in known:
        names = ", ".join(sorted(known))
        raise ModelError(Problem("", f"there is no experiment {experiment!r} in {uri}", f"there are: {names}"))
    own = uri.rstrip("/") if _is_server(uri) else f"http://{HOST}:{PORT}"
    return Addresses(own if base is None else base, known[experiment], experiment)


def page(runs: Sequence[str] = (), experiment: str | None = None, *, base: str | None = None) -> str:
    """Return the address of the page that is of most use, having saved the view that it shows; as `pages` does."""
    return pages(runs, experiment, base=base)[0]


def pages(runs: Sequence[str] = (), experiment: str | None = None, *, base: str | None = None) -> tuple[str, str]:
    """Return the addresses of the pages that are of most use, having saved the views that they show.

    Args:
        runs: Runs, or a sweep for all of its, as for `p2pkit compare`; MLflow's ids of runs elsewhere count too.
        experiment: Without runs, the experiment; by default the one with the latest run.
        base: The server's address, as for `addresses`.

    Returns:
        Charts in which the runs are seen by what differs between them, with their samples and scores; and the same
        with one mean for each point, empty where no point has several seeds.

    Raises:
        ModelError: There are no such runs, or they lie in several experiments.
    """
    from p2pkit.views import TRAININGS, save_view

    store = client()
    if not runs:
        found, key, search = addresses(experiment, base=base), VIEW, TRAININGS
    else:
        recorded = _recorded(store, runs)
        experiments = sorted({store.get_experiment(run.info.experiment_id).name for run in recorded})
        if len(experiments) > 1:
            cause = f"these runs lie in several experiments, and MLflow shows one at a time: {', '.join(experiments)}"
            raise ModelError(Problem("", cause, "p2pkit compare shows them side by side"))
        ids = sorted(run.info.run_id for run in recorded)
        key = f"{VIEW}-{zlib.crc32(' '.join(ids).encode()):08x}"
        found, search = addresses(experiments[0], base=base), _search(store, recorded)
    if not save_view(store, found.experiment_id, key, search):
        return found.view(key), ""
    save_view(store, found.experiment_id, f"{key}-means", search, means=True)
    return found.view(key), found.view(f"{key}-means")


def _recorded(store: MlflowClient, names: Sequence[str]) -> list[Run]:
    """Return MLflow's records of runs, all problems at once."""
    from mlflow.exceptions import MlflowException

    from p2pkit.compare.find import find_runs

    ids: list[str] = []
    problems: list[Problem] = []
    for name in names:
        if re.fullmatch("[0-9a-f]{32}", name):
            ids.append(name)
            continue
        try:
            notes = [(folder, folder / NOTE) for folder in find_runs([name])]
        except ModelError as error:
            problems += error.problems
            continue
        problems += [Problem(str(folder), "is not recorded in MLflow") for folder, note in notes if not note.is_file()]
        ids += [note.read_text(encoding="utf-8").strip() for _, note in notes if note.is_file()]
    found = []
    for run_id in dict.fromkeys(ids):
        try:
            found.append(store.get_run(run_id))
        except MlflowException:
            problems.append(Problem("", f"MLflow's store {tracking_uri()} has no run {run_id}"))
    if problems:
        raise ModelError(problems)
    return found


def _search(store: MlflowClient, runs: Sequence[Run]) -> str:
    """Say which runs in MLflow's search language; a whole sweep by its tag, so that runs yet to come are seen too."""
    sweeps = {run.data.tags.get(SWEEP) for run in runs}
    if len(sweeps) == 1 and None not in sweeps:
        tagged = f"tags.`{SWEEP}` = '{sweeps.pop()}' AND tags.`p2pkit.kind` = 'training'"
        if len(store.search_runs([runs[0].info.experiment_id], tagged)) == len(runs):
            return tagged
    return f"attributes.run_id IN ({', '.join(sorted(repr(run.info.run_id) for run in runs))})"


def way_to(names: Sequence[str], folders: Sequence[Path]) -> str | None:
    """Say how to see runs: the address, where the store is a server, else the command that opens it.

    Args:
        names: Runs as `p2pkit ui` takes them; none for the experiment with the latest run.
        folders: Their folders.

    Returns:
        One line; None where MLflow has no part in these runs.
    """
    if not any(next(folder.glob(f"**/{NOTE}"), None) for folder in folders):
        return None
    if _is_server(tracking_uri()):
        with suppress(P2pkitError):
            return page(names)
    return shlex.join(["p2pkit", "ui", *names])


def serve(
    runs: Sequence[str] = (),
    *,
    port: int = PORT,
    experiment: str | None = None,
    open_browser: bool = True,
    report: Callable[[str], None] = print,
    note: Callable[[str], None] = lambda text: None,
) -> None:
    """Show recorded runs until interrupted; where the store is a server, only say (and open) the address.

    Args:
        runs: The runs to open at, as for `page`.
        port: The port to listen on, on loopback only; 0 for any free one.
        experiment: The experiment to open; by default the one with the latest run.
        open_browser: Whether to open the address in a browser.
        report: Called with the address.
        note: Called with what is waited for, what else there is to see, and how it is ended.

    Raises:
        ModelError: Nothing is recorded yet, or there is no such experiment or run.
        P2pkitError: The port is taken, or MLflow's server does not start.
    """
    if _is_server(tracking_uri()):
        _present(pages(runs, experiment), open_browser, report, note)
        return
    found = pages(runs, experiment, base="")  # before the server is started: an error comes at once
    note("starting MLflow's server, which takes some seconds ...")
    with suppress(KeyboardInterrupt), _termination_interrupts(), server(port) as (base, process):
        _present(tuple(base + each if each else "" for each in found), open_browser, report, note)
        note("it runs until you press Ctrl-C")
        process.wait()
        raise P2pkitError(Problem("", f"MLflow's server ended by itself, with code {process.returncode}"))


@contextmanager
def server(port: int = PORT) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run MLflow's server on loopback as a process of its own, for as long as the context lasts.

    Args:
        port: The port; 0 for any free one.

    Yields:
        The server's address, at which it answers, and its process.

    Raises:
        ModelError: There is no store yet.
        P2pkitError: The port is taken, or the server does not start.
    """
    uri = tracking_uri()
    _check_exists(uri)
    port = _free_port(port)
    base = f"http://{HOST}:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", uri]
    database = _database(uri)
    if database is not None:  # experiments made in the interface then keep files where those of training do
        command += ["--no-serve-artifacts", "--default-artifact-root", str(database.parent / "mlruns")]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # so that Ctrl-C comes here, and the server is told once
        )
        try:
            _await(base, process, log)
            yield base, process
        finally:
            _stop(process)


def _present(
    found: tuple[str, ...], open_browser: bool, report: Callable[[str], None], note: Callable[[str], None]
) -> None:
    address, means = found
    report(address)
    if means:
        note(f"means over seeds: {means}")
    if open_browser:
        webbrowser.open(address)


def _await(base: str, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"{base}/health", timeout=5):  # URLError is an OSError
            return
        time.sleep(0.1)
    log.seek(0)
    said = log.read().decode(errors="replace").strip().splitlines()
    cause = "MLflow's server did not start" + "".join(f"\n  {line}" for line in said[-8:])
    raise P2pkitError(Problem("", cause))


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def _termination_interrupts() -> Iterator[None]:
    """Let SIGTERM end the server as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():  # Python allows handlers nowhere else
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _free_port(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was just left is free
        try:
            probe.bind((HOST, port))
        except OSError as error:
            remedy = "choose another: p2pkit ui --port " + str(_free_port(0))
            raise P2pkitError(Problem("", f"port {port} can't be used: {error.strerror}", remedy)) from None
        return int(probe.getsockname()[1])


def _check_exists(uri: str) -> None:
    database = _database(uri)
    if database is not None and not database.is_file():
        raise _nothing_yet(uri)


def _nothing_yet(uri: str) -> ModelError:
    remedy = "train first (p2pkit demo), go to the folder you trained in, or set MLFLOW_TRACKING_URI"
    return ModelError(Problem("", f"there are no runs yet in {_database(uri) or uri}", remedy))


def _database(uri: str) -> Path | None:
    """Return the file of an SQLite store."""
    return Path(unquote(uri.removeprefix(_SQLITE))).absolute() if uri.startswith(_SQLITE) else None


def _is_server(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))
