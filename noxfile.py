"""Checks that need a network or take long: `nox -s audit`, `nox -s bandit`."""

from __future__ import annotations

import socket

import nox

nox.options.sessions = ["audit", "bandit"]
_DATABASE = "api.osv.dev"


@nox.session
def audit(session: nox.Session) -> None:
    """Look whether any package that p2pkit stands on has a known hole."""
    try:
        socket.create_connection((_DATABASE, 443), timeout=5).close()
    except OSError as error:
        session.skip(f"the database of holes, {_DATABASE}, can't be reached: {error}")
    session.install("pip-audit", ".[cmaes,fid,grpc,mysql,postgresql,webdataset]")
    session.run("pip-audit", "--vulnerability-service", "osv", "--skip-editable", "--progress-spinner", "off")


@nox.session
def bandit(session: nox.Session) -> None:
    """Look for code that is known to be unsafe; what is known and why it stands is in pyproject.toml."""
    session.install("bandit[toml]")
    session.run("bandit", "-q", "-r", "-c", "pyproject.toml", "p2pkit", "plugins", "noxfile.py")
