"""The practice range: a real three-node Kubernetes cluster on one Linux machine.

Plain Python that imports nothing else of Belay, so that the range can be raised, looked at and
dropped with neither a database nor a web server. `python -m practice` and `manage.py range` are
the same program.
"""
