"""Break one function of the product by changing its source text.

A mutation that no longer finds its text fails loudly: the code moved on, and so must the list.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any
from unittest import mock


@contextlib.contextmanager
def changed(target: str, *changes: tuple[str, str]) -> Iterator[None]:
    """`target`: `module:function` or `module:Class.method`; `changes`: old text → new text."""
    module_name, _colon, path = target.partition(":")
    module = importlib.import_module(module_name)
    owner: Any = module
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    given = inspect.unwrap(inspect.getattr_static(owner, name))
    static = isinstance(given, staticmethod)
    source = textwrap.dedent(inspect.getsource(given.__func__ if static else given))
    for old, new in changes:
        if old not in source:
            raise LookupError(f"{target} no longer contains {old!r}; mend this mutation")
        source = source.replace(old, new)
    names: dict[str, Any] = {}
    code = compile(f"from __future__ import annotations\n{source}", f"<mutated {target}>", "exec")
    # Its own module's names, so that what a universe puts in their place is seen here too.
    function: Any = given.__func__ if static else given
    exec(code, function.__globals__, names)  # noqa: S102  our own source, one line of it changed
    with mock.patch.object(owner, name, names[name]):
        yield
