"""Rows of the failure table as tests: real processes, real kills, judged on the nodes."""
