# SPDX-License-Identifier: MIT
"""What is installed."""
import subprocess

import pytest

from manuals import BUILD, TIMEOUT_S


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """The root folder of a machine on which zseal was installed."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", folder], check=True,
                   capture_output=True, timeout=TIMEOUT_S)
    return folder


@pytest.fixture(scope="session")
def share(installed):
    """There, PREFIX/share."""
    return next(installed.rglob("share/man")).parent
