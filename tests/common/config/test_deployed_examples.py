"""The files of deploy/examples check clean: no alert, no warning, no notice but of what is not yet in effect.

HAProxy agrees where its language has the words.

Their addresses and files are variables with defaults, so that tests can run them anywhere.
"""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from common.config.build import load
from common.config.diagnostics import render
from common.config.fmt import formatted
from common.config.options import LoadOptions
from common.config.pending import SLUG

FOLDER = Path(__file__).parents[3] / "deploy" / "examples"
FILES = sorted(FOLDER.glob("*.cfg"))

OURS = {
    "seed003": "process N was dropped in HAProxy 2.5",
    "two-tiers": "pass-fd and process N",
    "two-applications": "cookie rename is ours",
}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("certificate") / "site.pem"
    now = datetime.now(UTC)
    leaf = trustme.CA().issue_cert("example.org", not_before=now - timedelta(days=1), not_after=now + timedelta(days=90))
    leaf.private_key_and_cert_chain_pem.write_to_path(path)
    return path


def read(path: str) -> bytes:
    return (FOLDER / path).read_bytes()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_example_checks_clean(path: Path, certificate: Path) -> None:
    def read_here(name: str) -> bytes:
        return certificate.read_bytes() if name == "site.pem" else read(name)

    options = LoadOptions(read_file=read_here, now=datetime.now(UTC).timestamp())
    result = load([(path.name, path.read_bytes())], {"CERTIFICATE": str(certificate)}, options=options)
    assert [render(found, 1) for found in result.diagnostics if found.slug != SLUG] == []
    assert result.config is not None


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_example_is_in_canonical_layout(path: Path) -> None:
    assert formatted(path.read_bytes()) == path.read_bytes()


@pytest.mark.interop("haproxy")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_haproxy_agrees(path: Path, certificate: Path) -> None:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "CERTIFICATE": str(certificate)}
    run = subprocess.run(["haproxy", "-c", "-f", path.name], cwd=FOLDER, env=environment, capture_output=True, timeout=20)
    assert (run.returncode == 0) is (path.stem not in OURS), run.stderr
