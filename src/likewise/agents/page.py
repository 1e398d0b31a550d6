"""The page of an agent: its returns beside those of random actions, and a film of it. One file, no script."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from likewise.agents.folder import AgentConfig, Returns
from likewise.agents.variants import VARIANTS

WIDTH, HEIGHT, LEFT, BELOW = 640, 280, 56, 36
TICKS = 4

PAGE = Markup("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title><style>{style}</style></head><body><h1>{title}</h1><p>{summary}</p>
<h2>Return during training</h2><figure>{curve}<figcaption>{about}</figcaption></figure>
<h2>The agent</h2><figure><img class="film" alt="the agent acts" src="data:image/gif;base64,{film}">
<figcaption>Episodes that it was not trained on.</figcaption></figure>
<h2>Settings</h2><table>{settings}</table></body></html>
""")
STYLE = Markup("""
:root{color-scheme:light dark}
body{font:15px/1.4 system-ui,sans-serif;margin:2rem auto;max-width:50rem;padding:0 1rem}
svg{width:100%;height:auto}svg text{font-size:12px;fill:currentColor}
.axis{stroke:currentColor;stroke-opacity:.25}.mean{fill:none;stroke:#0072b2;stroke-width:2.5}
.each{fill:#0072b2;fill-opacity:.35}.random{stroke:#d55e00;stroke-width:1.5;stroke-dasharray:6 4}
figure{margin:0}figcaption{opacity:.75}.film{image-rendering:pixelated;min-width:12rem;max-width:100%}
th{text-align:left;font-weight:normal;opacity:.75;padding-right:1rem}
""")


def agent_page(config: AgentConfig, returns: Returns, film: bytes, summary: str) -> str:
    """The page as text."""
    about = (
        f"Points: the {config['episodes']} episodes of an evaluation, always the same ones, in which the agent takes "
        "the action that it holds for best. Line: their mean. Dashed: the mean of random actions."
    )
    rows = [(name, value) for name, value in config.items() if name not in ("likewise", "finished")]
    settings = (Markup('<tr><th scope="row">{}</th><td>{}</td></tr>').format(*row) for row in rows)
    return PAGE.format(
        title=f"{config['env']}: {config['method']}",
        style=STYLE,
        summary=f"{summary} The agent learns from pixels: {VARIANTS[config['method']].about}.",
        curve=curve(returns, config["steps"]),
        about=about,
        film=base64.b64encode(film).decode(),
        settings=Markup("").join(settings),
    )


def curve(returns: Returns, steps: int) -> Markup:
    """Returns by step as a picture in SVG."""
    rows = returns["evaluations"]
    level = float(np.mean(returns["random"]))
    values = [value for row in rows for value in row["returns"]] + [level]
    low, high = min(values), max(values)
    low, high = (low - 0.5, high + 0.5) if low == high else (low, high)

    def x(step: int | float) -> float:
        return round(LEFT + (WIDTH - LEFT - 10) * step / max(1, steps), 1)

    def y(value: int | float) -> float:
        return round(10 + (HEIGHT - BELOW - 10) * (high - value) / (high - low), 1)

    parts = [_level(y(value), f"{value:.3g}") for value in np.linspace(low, high, TICKS)]
    for step in np.linspace(0, steps, TICKS):
        text = Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>')
        parts.append(text.format(min(x(step), WIDTH - 30), HEIGHT - BELOW + 20, f"{step:,.0f}"))
    parts.append(
        Markup('<line class="random" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(LEFT, WIDTH - 10, y(level), y(level))
    )
    for row in rows:
        for value in row["returns"]:
            point = Markup('<circle class="each" cx="{}" cy="{}" r="2.5"/>')
            parts.append(point.format(x(row["step"]), y(value)))
    means = " ".join(f"{x(row['step'])},{y(float(np.mean(row['returns'])))}" for row in rows)
    parts.append(Markup('<polyline class="mean" points="{}"/>').format(means))
    return _picture(parts)


def _level(height: float, text: str) -> Markup:
    return Markup(
        '<line class="axis" x1="{}" x2="{}" y1="{}" y2="{}"/><text x="{}" y="{}" text-anchor="end">{}</text>'
    ).format(LEFT, WIDTH - 10, height, height, LEFT - 6, height + 4, text)


def _picture(parts: Sequence[Markup]) -> Markup:
    head = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="return by step">').format(WIDTH, HEIGHT)
    return head + Markup("").join(parts) + Markup("</svg>")
