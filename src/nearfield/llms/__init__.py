"""Chat models, as far as answering questions needs them."""
