"""Joining a cluster that is not there."""

import pytest

from nearfield.distributed.cluster import joined
from nearfield.errors import StoreError

pytestmark = pytest.mark.ray


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1"])
def test_where_no_cluster_answers_it_is_said(address):
    """At once, and with what starts one."""
    with pytest.raises(StoreError, match=r"No Ray cluster answers.*ray start"), joined(address):
        pass
