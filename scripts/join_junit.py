"""Join the reports of several test runs into one: `join_junit.py TO FROM...`.

A run that selected no test leaves a report without cases; one that could not begin leaves none.
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree


def main(to: str, *parts: str) -> None:
    """Put every suite that the parts hold under one root."""
    root = ElementTree.Element("testsuites", name="belay")
    for part in parts:
        if Path(part).exists():
            root.extend(ElementTree.parse(part).getroot())  # noqa: S314  (our own report)
    ElementTree.ElementTree(root).write(to, encoding="utf-8", xml_declaration=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
