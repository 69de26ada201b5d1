"""Loop detection: the same call with the same outcome, seen again.

The first repeat gets a hint, the next one ends the calling of tools. A call whose outcome changes (polling) is no loop.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter

from agents.events import Observation


class LoopDetector:
    """Counts (tool, canonical arguments, observation); arguments in another order are the same."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def repeats(self, observation: Observation) -> int:
        """How often this call with this outcome was seen before."""
        call = observation.call
        key = json.dumps([call.tool, call.arguments, observation.text], sort_keys=True, default=str)
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        self._seen[digest] += 1
        return self._seen[digest] - 1
