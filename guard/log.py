"""One JSON object per line on stderr: the kubelet keeps it with the container's logs."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime


def log(event: str, **facts: object) -> None:
    """Write one event. Never raises: a closed or full stderr must not stop an undo."""
    line = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **facts}
    try:
        sys.stderr.write(json.dumps(line, default=str) + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        return
