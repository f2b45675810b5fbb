"""An index as a Lance table: in a folder, or in an object store; needs the extra ``lance``.

One table, ``nodes.lance``, is the whole record: a row per node and a row per
document, so that one commit of Lance writes or replaces documents whole. The
header is the table's schema metadata. ``lancedb.connect(PLACE)`` opens the same
folder, with the table ``nodes``.

==================  =========================================================
module              what it is for
==================  =========================================================
``store``           the contract, over the table
``table``           opening, versions, locks; every commit goes through it
``rows``            entries to rows, and rows to nodes
``writing``         documents in, whole, in one commit
``reading``         documents and nodes out, in the order of writing
``snapshot``        the vectors of one version in memory, for exact answers
``searcher``        which way a query goes, and its answers
``scan``            an exact search that streams the table
``index``           the ANN index: building it, and measuring its recall
``disk``            the lock of local writers, and syncing what they wrote
==================  =========================================================
"""

from nearfield.stores.lance.index import AnnIndex
from nearfield.stores.lance.store import LanceStore

__all__ = ["AnnIndex", "LanceStore"]
