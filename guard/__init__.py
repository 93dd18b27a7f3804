"""The guard: the small program on a node that breaks one thing on purpose and always undoes it.

Standard library only, and nothing of Belay's other packages: it must run, and undo, when
everything else of Belay is gone.
"""

__version__ = "0.1.0"
