"""The simulator: the real engine and the real guard on a fake cluster, clock, disk and network.

One schedule runs in a few hundredths of a second of real time. Only time, machines and wires are
fake; every decision is taken by the product's own code, and the rows are real, on PostgreSQL.
"""
