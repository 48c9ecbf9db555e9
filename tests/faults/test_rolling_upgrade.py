"""Two versions of Ottla in one cluster: brokers change it in turn under load, and features wait for all."""

from __future__ import annotations

import io
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from ottla import client
from ottla.client.admin.cluster import FeatureUpdate
from ottla.client.admin.credentials import ScramMechanism, ScramUpsertion
from ottla.client.errors import ClientError
from ottla.testing.cluster import ClusterError

from .clients import Clients
from .copying import SETTINGS, Copying
from .faulty_cluster import FaultyNode, run_faulty_cluster
from .load import finish
from .writing import write_to

OLDER = "848f2f9f48ecf871f03ac3274d63e49d69e9d0a4"
"""A version that clusters could be run with"""
ROOT = Path(__file__).parent.parent.parent
NEXT_VERSION = """
# A version of Ottla to come, with one more level of the metadata's features.
from types import MappingProxyType

from ottla.metadata import model

_lowest, _newest = model.SUPPORTED_FEATURES[model.METADATA_VERSION]
model.SUPPORTED_FEATURES = MappingProxyType(
    {**model.SUPPORTED_FEATURES, model.METADATA_VERSION: (_lowest, _newest + 1)}
)
"""


@pytest.fixture
def older(tmp_path: Path) -> Path:
    packed = subprocess.run(["git", "archive", OLDER, "src"], cwd=ROOT, capture_output=True, check=False)
    if packed.returncode:
        pytest.skip(f"there is no {OLDER} here to upgrade from")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(tmp_path / "older", filter="data")
    return tmp_path / "older/src"


@pytest.mark.timeout(300)
def test_brokers_are_upgraded_in_turn_and_back_without_a_failed_write(older: Path, tmp_path: Path) -> None:
    (tmp_path / "copies").mkdir()
    with run_faulty_cluster(tmp_path, SETTINGS, older) as cluster:
        writing = write_to(cluster.bootstrap)
        copying = Copying(Clients(cluster.bootstrap), cluster.bootstrap, tmp_path / "copies", replicas=3)
        try:
            cluster.restart_in_turn(FaultyNode.run_as_it_is)
            assert_users_wait_for_their_level(cluster.bootstrap)
            cluster.restart_in_turn(lambda node: node.run_with(older))
            cluster.restart_in_turn(FaultyNode.run_as_it_is)
            add_a_user_at_their_level(cluster.bootstrap)
            finish([writing])
            writing.assert_all_is_there()
            assert not writing.errors
            operations = copying.finish(120)
        finally:
            copying.end()
        assert operations["transaction", "ok"] > 20
        assert "Traceback" not in cluster.all_logs()


def assert_users_wait_for_their_level(bootstrap: str) -> None:
    """What the older version could not read: it may come back."""
    with client.connect(bootstrap) as connected:
        assert "unsupported_version" in str(add_user(connected))


def add_a_user_at_their_level(bootstrap: str) -> None:
    with client.connect(bootstrap) as connected:
        level = {"ottla.metadata.version": FeatureUpdate(1)}
        deadline = time.monotonic() + 30
        connected.admin.cluster.update_features(level).check()
        while (refused := add_user(connected)) is not None:  # who is asked may hear of it a moment later
            assert time.monotonic() < deadline, refused
            time.sleep(0.05)


def add_user(connected: client.Client) -> ClientError | None:
    """Why that was refused."""
    change = ScramUpsertion(ScramMechanism.SCRAM_SHA_256, "secret")
    return connected.admin.credentials.alter_scram({"ann": change}).errors.get("ann")


@pytest.mark.timeout(300)
def test_features_are_raised_when_all_brokers_have_them(tmp_path: Path) -> None:
    newer = tmp_path / "newer"
    newer.mkdir()
    (newer / "sitecustomize.py").write_text(NEXT_VERSION)
    with run_faulty_cluster(tmp_path) as cluster, client.connect(cluster.bootstrap) as connected:

        def finalized() -> int | None:
            return connected.admin.cluster.features().features["metadata.version"].finalized

        level = finalized()
        assert level is not None
        raised = {"metadata.version": FeatureUpdate(level + 1)}
        for node in cluster.nodes:
            with pytest.raises(ClientError, match=f"levels from {level} to {level}"):
                connected.admin.cluster.update_features(raised).check()
            assert node.stop() == 0
            node.run_with(newer)
            node.start()
            assert finalized() == level
        connected.admin.cluster.update_features(raised).check()
        deadline = time.monotonic() + 30
        while finalized() != level + 1:  # whichever broker is asked may hear of it a moment later
            assert time.monotonic() < deadline
            time.sleep(0.05)
        last = cluster.nodes[-1]
        assert last.stop() == 0
        last.run_as_it_is()
        with pytest.raises(ClusterError, match=f"metadata.version at level {level + 1}, and this version"):
            last.start()
