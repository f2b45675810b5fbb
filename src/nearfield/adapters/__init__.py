"""nearfield's models inside other libraries."""
