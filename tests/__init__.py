"""Tests of every part; `make test` runs all of them."""
