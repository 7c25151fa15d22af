"""Trains the shipped networks on a machine whose GPU is lent for minutes; docs/training.md, 'On a lent GPU'."""
