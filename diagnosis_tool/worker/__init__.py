"""The worker process: claims jobs, reads radiographs, stores predictions."""
