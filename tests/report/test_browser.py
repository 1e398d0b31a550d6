"""The page in a real browser: everything is drawn, nothing complains, nothing sticks out on a phone."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fake_kinds import audio_run, pair_run, text_run
from fake_run import fake_run

from chromium import EXECUTABLE, QUIET
from likewise.report.page import write_page
from likewise.runs.figures import Figure, FigureRow, Figures

FLAGS = [
    "--headless",
    *QUIET,
    "--enable-logging=stderr",
    "--v=0",
    "--virtual-time-budget=20000",
    "--dump-dom",
]
# What the page itself cannot say: whether it overflows, and what a click on a button and a tap on a point do.
PROBE = """<script>
const all = document.documentElement;
const ready = setInterval(async () => {
  const [drawn, expected] = all.dataset.charts.split("/");
  if (drawn !== expected) return;
  clearInterval(ready);
  await new Promise((done) => setTimeout(done, 500));
  all.dataset.overflow = String(all.scrollWidth - all.clientWidth);
  all.dataset.misfits = String([...document.querySelectorAll(".plot")].filter(
    (plot) => plot.querySelector(".main-svg").clientWidth !== plot.clientWidth).map((plot) => plot.id));
  all.dataset.width = String(innerWidth);
  const confusion = document.getElementById("confusion");
  if (confusion) {
    const before = JSON.stringify(confusion.data[0].z);
    document.querySelector("input[name=errors-labels]").click();
    await new Promise((done) => setTimeout(done, 500));
    all.dataset.changed = String(JSON.stringify(confusion.data[0].z) !== before);
  }
  const map = document.getElementById("map");
  if (map) {
    map.emit("plotly_click", { points: [{ customdata: 3 }], event: { clientX: 50, clientY: 50 } });
    const card = document.getElementById("card");
    all.dataset.card = card.hidden ? "" : card.textContent;
  }
  all.dataset.heard = String([...document.querySelectorAll("audio")].filter((sound) => sound.duration > 0.5).length);
  all.dataset.paper = getComputedStyle(document.body).backgroundColor;
  all.dataset.invalid = String([...document.querySelectorAll(".plot")].flatMap(
    (plot) => Plotly.validate(plot.data, plot.layout) || [])
    .filter((fault) => fault.code !== "unused").map((fault) => fault.msg));
  parent.postMessage({ ...all.dataset }, "*");
}, 100);
</script></body>"""
# A window cannot be as narrow as a phone; a frame can.
FRAME = """<!doctype html><html><body>
<iframe src="probed.html" style="border:0;width:{width}px;height:800px"></iframe>
<script>
addEventListener("message", ({{ data }}) => Object.assign(document.documentElement.dataset, data));
</script></body></html>"""

pytestmark = pytest.mark.skipif(EXECUTABLE is None, reason="no Chromium here")


def visit(page: Path, profile: Path, *, width: int = 1200, dark: bool = False) -> tuple[dict[str, str], list[str]]:
    """The data attributes that the page ends with, and what it wrote to the console."""
    probed = page.with_name("probed.html")
    script = PROBE.removeprefix("<script>").removesuffix("</script></body>")
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    html = page.read_text(encoding="utf-8").replace("script-src ", f"script-src 'sha256-{allowed}' ", 1)
    probed.write_text(html.replace("</body>", PROBE), encoding="utf-8")
    frame = page.with_name("frame.html")
    frame.write_text(FRAME.format(width=width), encoding="utf-8")
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    assert EXECUTABLE
    flags = [*FLAGS, scheme, "--window-size=1300,900", f"--user-data-dir={profile}"]
    command = [EXECUTABLE, *flags, frame.as_uri()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    opening = re.search(r"<html[^>]*>", result.stdout)
    assert opening, result.stderr
    console = [line for line in result.stderr.splitlines() if "CONSOLE" in line]
    return dict(re.findall(r'data-(\w+)="([^"]*)"', opening.group())), console


def expected_charts(page: Path) -> int:
    return page.read_text(encoding="utf-8").count('<div class="plot"')


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (360, True)], ids=["desktop, light", "phone, dark"])
def test_everything_is_drawn_without_complaint(tmp_path: Path, width: int, dark: bool) -> None:
    names = ["<script>alert(1)</script>", "a name of more than thirty letters", *"abcdefgh"]
    page = write_page(fake_run(tmp_path / "run", classes=names))
    seen, console = visit(page, tmp_path / "profile", width=width, dark=dark)
    count = expected_charts(page)
    assert seen["charts"] == f"{count}/{count}"
    assert console == []
    assert seen["width"] == str(width)
    assert seen["overflow"] == "0"
    assert seen["misfits"] == ""
    assert seen["changed"] == "true"
    assert seen["card"]
    assert seen["invalid"] == ""
    assert seen["paper"] == ("rgb(20, 23, 27)" if dark else "rgb(255, 255, 255)")


def test_a_run_of_little_is_drawn_too(tmp_path: Path) -> None:
    parts = ("config", "metrics", "gallery")
    page = write_page(fake_run(tmp_path / "run", parts=parts, labelled=False, channels=3, samples=12))
    seen, console = visit(page, tmp_path / "profile")
    assert seen["charts"] == f"{expected_charts(page)}/{expected_charts(page)}"
    assert console == []


@pytest.mark.parametrize(
    ("make", "card", "heard"),
    [(text_run, "games: ", 0), (audio_run, "rising (sample 3)", 19), (pair_run, "the digit three", 0)],
    ids=["read", "heard", "pairs"],
)
def test_samples_that_are_no_pictures_fit_a_phone(
    tmp_path: Path, make: Callable[[Path], Path], card: str, heard: int
) -> None:
    page = write_page(make(tmp_path / "run"))
    seen, console = visit(page, tmp_path / "profile", width=360)
    assert seen["charts"] == f"{expected_charts(page)}/{expected_charts(page)}"
    assert console == []
    assert seen["overflow"] == "0"
    assert seen["misfits"] == ""
    assert seen["card"].startswith(card)
    assert seen["heard"] == str(heard)


EVIL = "<img src=x onerror=\"document.documentElement.dataset.ran='yes'\">"
EVIL_SCRIPT = "</script></style><script>document.documentElement.dataset.ran='yes'</script>"


def hostile_run(folder: Path) -> Path:
    """A run whose every text is HTML that would run a script, or plotly's markup that would."""
    evil = EVIL + EVIL_SCRIPT
    fake_run(folder, classes=[EVIL, EVIL_SCRIPT, f"{EVIL_SCRIPT} ", *(f"{evil}{n}" for n in range(7))])
    config = json.loads((folder / "config.json").read_text())
    config |= {"command": evil, "data": evil, "created": evil, "precision": evil}
    config["source"] |= {"name": evil, "modality": evil}
    config["encoder"] |= {"name": evil, evil: evil}
    config["method"] |= {"name": evil, "options": {evil: [evil]}}
    config["recipe"][evil] = {evil: {evil: evil}}
    (folder / "config.json").write_text(json.dumps(config))
    lines = (folder / "metrics.csv").read_text().splitlines()
    quoted = [f'"{text.replace(chr(34), 2 * chr(34))}"' for text in (EVIL, EVIL_SCRIPT)]
    rows = [lines[0] + "," + ",".join(quoted), *(f"{line},1,2" for line in lines[1:])]
    (folder / "metrics.csv").write_text("\n".join(rows) + "\n")
    (folder / "chance.json").write_text(json.dumps({"loss": 6.2, EVIL: 0.5}))
    (folder / "verdict.json").write_text(
        json.dumps({"kind": evil, "message": evil, "causes": [evil], "remedy": evil, "step": 1, "epoch": 1})
    )
    evaluation = json.loads((folder / "evaluation.json").read_text())
    evaluation |= {"test": evil, "train": evil, "command": evil, "notes": [evil], "settings": {evil: evil}}
    for details in evaluation["protocol_details"].values():
        details["label"] = evil
        details["style"] = {"color": evil, "dash": evil, "marker": evil}
    table = {
        "title": evil,
        "caption": evil,
        "head": [evil, evil],
        "units": ["", evil],
        "rows": [[evil, 1.0], [evil, 2]],
    }
    evaluation["tables"] = [table]
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    (folder / "skipped.csv").write_text(f"file,reason\n{quoted[0]},{quoted[1]}\n")
    texts = [evil, EVIL_SCRIPT]
    pictures = np.zeros((2, 1, 4, 4), dtype=np.uint8)
    Figures([Figure(evil, evil, [FigureRow(evil, pictures, texts), FigureRow(evil, None, texts)])]).save(folder)
    return folder


def test_a_hostile_run_runs_nothing(tmp_path: Path) -> None:
    page = write_page(hostile_run(tmp_path / "run"))
    seen, console = visit(page, tmp_path / "profile")
    assert seen["charts"] == f"{expected_charts(page)}/{expected_charts(page)}"
    assert "ran" not in seen
    assert console == []


def test_the_policy_stops_what_would_get_into_the_page(tmp_path: Path) -> None:
    page = write_page(fake_run(tmp_path / "run", parts=("config", "metrics")))
    html = page.read_text(encoding="utf-8")
    page.write_text(
        html.replace("<main>", f"<main>{EVIL}<style>main {{ display: none }}</style><p style='margin:9px'>")
    )
    seen, console = visit(page, tmp_path / "profile")
    assert "ran" not in seen
    assert len([line for line in console if "Content Security Policy" in line]) >= 3
