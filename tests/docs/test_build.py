"""The site can be built without a warning and without the network."""

import subprocess
import sys

import pytest
from pages import DOCS


@pytest.mark.slow
def test_site_builds(tmp_path) -> None:
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", str(DOCS), str(tmp_path)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "index.html").is_file()
