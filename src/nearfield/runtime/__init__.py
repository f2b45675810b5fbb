"""How a local model runs: its folder, its tokenizer, its engine."""
