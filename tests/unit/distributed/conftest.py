"""A real Ray cluster of two nodes on this machine, and a corpus."""

import pytest

from nearfield.distributed import cluster as cluster_module

OBJECTS = 100 << 20


@pytest.fixture(scope="module")
def cluster():
    """Give the address of a cluster: a head without cores, and two nodes of one core each."""
    patience = pytest.MonkeyPatch()
    patience.setenv("RAY_raylet_start_wait_time_s", "120")
    knock = cluster_module._knock

    def knock_on_loopback(address):
        # The nodes listen at this machine's own address, which tests may not open themselves.
        if address and "127.0.0.1" in address:
            knock(address)

    patience.setattr(cluster_module, "_knock", knock_on_loopback)
    import ray
    from ray.cluster_utils import Cluster

    node = {"object_store_memory": OBJECTS}
    head = {"num_cpus": 0, "include_dashboard": False, **node}
    running = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(2):
            running.add_node(num_cpus=1, **node)
        running.wait_for_nodes()
        yield running.address
    finally:
        ray.shutdown()
        running.shutdown()
        patience.undo()


@pytest.fixture
def corpus(tmp_path):
    """Give a folder of 48 small texts, each of several nodes."""
    return written(tmp_path / "corpus", sentences=60)


@pytest.fixture
def short_corpus(tmp_path):
    """Give a folder of 48 texts that the model of the package embeds in no time."""
    return written(tmp_path / "corpus", sentences=9)


def written(folder, *, sentences):
    folder.mkdir()
    for number in range(48):
        text = [
            f"Sentence {n} of text {number} is about item {n * number}." for n in range(sentences)
        ]
        (folder / f"t{number:02}.txt").write_text(" ".join(text))
    return folder
