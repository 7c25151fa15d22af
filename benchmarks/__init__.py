"""One file a claim; each prints ratios measured in one run and appends them to build/bench.jsonl."""
