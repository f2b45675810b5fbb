"""A corpus embedded by many machines into one Lance table: Ray runs it; needs the extra ``ray``.

::

    embed_dataset(["/shared/corpus"], "bundled", out="lance://s3://bucket/index",
                  address="ray://head:10001")
    VectorStoreIndex.open("lance://s3://bucket/index")

=============  =====================================================================
module         what it is for
=============  =====================================================================
``job``        the driver: what is to be done, and committing it window by window
``worker``     what runs on the workers: read, split, embed
``cluster``    joining a Ray cluster, or starting one here
=============  =====================================================================
"""

from nearfield.distributed.job import embed_dataset

__all__ = ["embed_dataset"]
