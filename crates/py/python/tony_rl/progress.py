"""A bar for a training, in a terminal, a log or a notebook."""

from __future__ import annotations

import math
import sys
import time
from typing import Any, Dict, List, Tuple

#: Width of the bar, in characters.
WIDTH = 24
#: Seconds between two pictures of the bar, and between two lines of a log.
LIVE_EVERY, LOG_EVERY = 0.1, 10.0


class Silent:
    """Shows nothing."""

    def start(self, title: str, env: str, run: str, total: int, limits: List[Tuple[str, float]]) -> None:
        """A training begins."""

    def tick(self, steps: int, phase: int) -> None:
        """So far it has come."""

    def line(self, metrics: Dict[str, Any]) -> None:
        """A line of the records."""

    def end(self, policy: Any) -> None:
        """It is over."""


class Bar(Silent):
    """One line that is written over where there is a terminal or a notebook, and a line now and then where there is a log."""

    def __init__(self) -> None:
        self._out = sys.stderr
        self._live = self._out.isatty() or "ipykernel" in sys.modules
        self._last: Dict[str, Any] = {}
        self._shown = -math.inf if self._live else time.monotonic()
        self._width = 0

    def start(self, title, env, run, total, limits):
        """Say what is trained where."""
        self._began, self._first, self._total, self._limits = time.monotonic(), None, total, limits
        self._write(f"{title} on {env}, {total:,} steps -> {run}\n")

    def tick(self, steps, phase):
        """Draw the bar, if the last one is old enough."""
        if self._first is None:
            self._first = steps
        now = time.monotonic()
        if now - self._shown < (LIVE_EVERY if self._live else LOG_EVERY):
            return
        self._shown = now
        share = min(1.0, steps / self._total)
        rate = (steps - self._first) / max(1e-9, now - self._began)
        left = _duration((self._total - steps) / rate) if rate > 0 else "-"
        filled = round(share * WIDTH)
        doing = ("collecting", "updating", "committing")[phase]
        bar = f"{'█' * filled}{'░' * (WIDTH - filled)} {share:4.0%}"
        speed = [f"{rate:,.0f} steps/s", f"{left} left"] if rate > 0 else []
        text = "  ".join([bar, f"{steps:,}", *self._measures(), *speed, *([doing] if self._live else [])])
        if self._live:
            self._write("\r" + text.ljust(self._width))
            self._width = len(text)
        else:
            self._write(text + "\n")

    def line(self, metrics):
        """Remember what the bar shows."""
        self._last.update((key, value) for key, value in metrics.items() if value is not None)

    def end(self, policy):
        """Say what came of it."""
        if self._live:
            self._write("\r" + " " * self._width + "\r")
        for name, stat in (policy.final or {}).items():
            self._write(f"  {name:<12} {stat['mean']:.4g} [{stat['lo']:.4g}, {stat['hi']:.4g}]\n")

    def _measures(self) -> List[str]:
        shown = [("return", "Metrics/EpRet", None)]
        shown += [("cost" if name == "Metrics/EpCost" else name.split("/", 1)[1], name, limit) for name, limit in self._limits]
        text = []
        for name, metric, limit in shown:
            if metric in self._last:
                text.append(f"{name} {self._last[metric]:.4g}" + ("" if limit is None else f" (limit {limit:g})"))
        return text

    def _write(self, text: str) -> None:
        try:
            self._out.write(text)
            self._out.flush()
        except (OSError, ValueError):
            pass  # A closed terminal takes nobody's training away.


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
