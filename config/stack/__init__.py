"""The embedded stack: PostgreSQL, Redis and Belay's own processes under one supervisor.

`make demo` and the tests run it. An installation that has PostgreSQL, Redis and a process
manager of its own needs none of this.
"""
