"""Measurements of the belt and of the engine. Run by `make bench`; measures and prints, asserts no times."""
