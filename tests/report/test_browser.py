"""The page in a real browser: everything is drawn, nothing complains, nothing sticks out on a phone."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_kinds import audio_run, pair_run, text_run
from fake_run import fake_run

from likewise.report.page import write_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
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

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")


def visit(page: Path, profile: Path, *, width: int = 1200, dark: bool = False) -> tuple[dict[str, str], list[str]]:
    """The data attributes that the page ends with, and what it wrote to the console."""
    probed = page.with_name("probed.html")
    probed.write_text(page.read_text(encoding="utf-8").replace("</body>", PROBE), encoding="utf-8")
    frame = page.with_name("frame.html")
    frame.write_text(FRAME.format(width=width), encoding="utf-8")
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    assert CHROMIUM
    flags = [*FLAGS, scheme, "--window-size=1300,900", f"--user-data-dir={profile}"]
    command = [CHROMIUM, *flags, frame.as_uri()]
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
