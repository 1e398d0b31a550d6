"""The page of `likewise explore` in a real browser: map, keys, lasso, labels, and texts that are markup."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from chromium import EXECUTABLE, Browser, browser
from likewise.cleaning.faults import Fault
from likewise.data.open import open_source
from likewise.explorer.app import application
from likewise.explorer.appearance import Appearances
from likewise.explorer.exploration import Coded, Exploration, Predicted
from likewise.explorer.label_file import LabelFile
from likewise.explorer.scene import Scene
from likewise.http_server import HttpServer
from likewise.views.image import ImageViews

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytestmark = pytest.mark.skipif(EXECUTABLE is None, reason="no Chromium here")

EVIL = "<img src=x onerror=\"document.title='ran'\"><script>document.title='ran'</script>"
READY = "document.documentElement?.dataset.state === 'ready'"


def digits(folder: Path, count: int = 300) -> Exploration:
    """Digits in ten clusters, with markup in every name."""
    source = open_source("digits:train")
    labels = source.labels()[:count].numpy()
    random = np.random.default_rng(0)
    middles = np.stack([np.arange(10) % 5 / 5 + 0.1, np.arange(10) // 5 / 2 + 0.25], axis=1)
    places = middles[labels] + random.normal(0, 0.02, (count, 2))
    scene = Scene(
        places.astype(np.float32),
        labels.astype(np.int32),
        [f"{EVIL} {i}" for i in range(10)],
        random.normal(0, 1, count).astype(np.float32),
        [Fault("", "duplicate", f"equal to {EVIL}", place=7, partner_place=2)],
        [EVIL],
    )
    ids = [f"{EVIL}/{i}.png" for i in range(count)]
    words = [f"{EVIL}{label}" for label in labels]
    return Exploration(
        EVIL,
        "image",
        ids,
        np.eye(10, dtype=np.float32)[labels],
        scene,
        LabelFile(folder / "labels.csv", ids),
        Coded.of(words),
        Appearances(source, ImageViews([], size=8, channels=1)),
        Predicted(Coded.of(words), random.random(count).astype(np.float32)),
        lambda text: torch.eye(10)[int(text)],
        [EVIL],
    )


def many(folder: Path, count: int) -> Exploration:
    random = np.random.default_rng(0)
    clusters = random.integers(20, size=count).astype(np.int32)
    places = random.random((20, 2))[clusters] + random.normal(0, 0.02, (count, 2))
    scene = Scene(places.clip(0, 1).astype(np.float32), clusters, [f"name {i}" for i in range(20)])
    ids = [f"{i}.png" for i in range(count)]
    features = random.normal(size=(count, 4)).astype(np.float32)
    return Exploration(
        "many", "image", ids, features, scene, LabelFile(folder / "labels.csv", ids), Coded.of([None] * count)
    )


@contextmanager
def page(exploration: Exploration, folder: Path, **window: Any) -> Iterator[Browser]:
    server = HttpServer("127.0.0.1", 0)
    server.start(application(exploration, "token"), seconds_to_end=3)
    try:
        with browser(folder / "profile") as found:
            found.show(f"{server.address}/token/", **window)
            found.until(READY)
            yield found
    finally:
        server.stop()


def painted(found: Browser, folder: Path) -> int:
    """How many colours the window shows."""
    found.value("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    found.picture(folder / "page.png")
    return len(np.unique(np.asarray(Image.open(folder / "page.png").convert("RGB")).reshape(-1, 3), axis=0))


def test_a_person_looks_selects_and_labels(tmp_path: Path) -> None:
    exploration = digits(tmp_path)
    labels = tmp_path / "labels.csv"
    with page(exploration, tmp_path) as found:
        assert painted(found, tmp_path) > 12
        # A point is hovered over, and clicked at.
        x, y = found.value("onScreen(0)")
        found.mouse("move", x, y, button="none", buttons=0)
        found.until("!$('card').hidden && $('card').querySelector('img').naturalWidth === 8")
        found.drag((x, y))
        found.until("!$('detail-section').hidden")
        place = found.value("state.focus")
        assert exploration.ids[place] in found.value("$('detail').textContent")
        found.fill("#label", "one")
        found.until("state.labels.undo === 1")
        assert exploration.labels.given[place] == 0
        # What the legend names is selected, and labelled together.
        found.value("$('colour').value = 'label'; $('colour').dispatchEvent(new Event('change'))")
        found.until("state.colour === 'label'")
        found.click("#legend button")
        count = found.until("state.selected.size")
        assert count == found.value("Number($('list-title').textContent.split(' ')[0])")
        found.fill("#label", "many")
        found.until("state.labels.undo === 2")
        assert labels.read_text().count(",many\n") == count
        found.click("#undo")
        found.until("state.labels.undo === 1")
        assert ",many" not in labels.read_text()
        # All of the map is drawn around, with the Shift key, and nothing is selected with Escape.
        found.drag((20, 100), (780, 100), (780, 780), (20, 780), modifiers=8)
        found.until(f"state.selected.size === {len(exploration)}")
        found.until("$('list').children.length === 60")
        found.click("#more")
        found.until("$('list').children.length === 120")
        found.value("marks.focus()")
        found.key("Escape")
        found.until("state.selected.size === 0")
        # Searches.
        found.value("$('how').value = 'meaning'")
        found.fill("#query", "3")
        found.until("state.selected.size === 100")
        assert all(exploration.scene.clusters[i] == 3 for i in found.value("state.list.slice(0, 5)"))
        found.value("$('how').value = 'words'")
        found.fill("#query", "/17.png")
        found.until("state.selected.size === 1 && state.list[0] === 17")
        found.click("#faults button")
        found.until("String(state.list) === '7,2'")
        found.until("$('list').textContent.includes('duplicate: equal to')")
        for colour in ("predicted", "doubt", "unusual", "cluster"):
            found.value(f"$('colour').value = '{colour}'; $('colour').dispatchEvent(new Event('change'))")
            found.until(f"state.colour === '{colour}'")
        assert painted(found, tmp_path) > 12
        # Everything that was said in markup is there as text.
        assert found.value("document.querySelector('[onerror]')") is None
        assert EVIL in found.value("document.title")
        assert found.value("document.querySelectorAll('script').length") == 1
        assert found.faults == []


def test_the_keyboard_is_enough(tmp_path: Path) -> None:
    exploration = digits(tmp_path)
    with page(exploration, tmp_path) as found:
        found.value("marks.focus()")
        found.key("Enter")
        first = found.until("state.focus >= 0 ? `${state.focus}` : ''")
        found.until("!$('detail-section').hidden")
        found.key("ArrowRight", 8)
        found.until(f"state.focus !== {first}")
        beside = exploration.scene.coordinates[found.value("state.focus")]
        assert beside[0] > exploration.scene.coordinates[int(first)][0]
        found.key(" ")
        found.until("state.selected.size === 1")
        before = found.value("state.view")
        found.key("+")
        found.key("ArrowLeft")
        found.key("ArrowUp")
        after = found.value("state.view")
        assert after["zoom"] > before["zoom"]
        assert after["x"] < before["x"]
        assert after["y"] > before["y"]
        found.key("0")
        assert found.value("state.view") == {"x": 0.5, "y": 0.5, "zoom": 1}
        found.fill("#label", "seen")
        found.until("state.labels.undo === 1")
        found.value("marks.focus()")
        found.key("z", 2)
        found.until("state.labels.undo === 0")
        assert (tmp_path / "labels.csv").read_text() == "id,label\n"
        unnamed = (
            "[...document.querySelectorAll('button, input, select, canvas:not([aria-hidden])')].filter((each) =>"
            " !each.textContent.trim() && !each.ariaLabel && !each.labels?.length).map((each) => each.outerHTML)"
        )
        assert found.value(unnamed) == []
        assert found.faults == []


def test_a_phone_in_the_dark(tmp_path: Path) -> None:
    with page(digits(tmp_path), tmp_path, width=390, height=844, dark=True) as found:
        assert found.value("innerWidth") == 390
        assert found.value("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
        x, y = found.value("onScreen(0)")
        for kind, points in (("touchStart", [{"x": x, "y": y}]), ("touchEnd", [])):
            found.ask("Input.dispatchTouchEvent", type=kind, touchPoints=points)
        found.until("!$('detail-section').hidden")
        found.click("#faults button")
        found.until("$('list').children.length === 2")
        assert found.value("document.documentElement.scrollWidth") == 390
        buttons = "[...document.querySelectorAll('#tools button, form button')]"
        assert found.value(f"Math.min(...{buttons}.map((each) => each.offsetHeight))") >= 40
        zoom = found.value("state.view.zoom")
        for kind, spread in (("touchStart", 20), ("touchMove", 60), ("touchMove", 100)):
            points = [{"x": 195 + side * spread, "y": 200, "id": i} for i, side in enumerate((-1, 1))]
            found.ask("Input.dispatchTouchEvent", type=kind, touchPoints=points)
        found.ask("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        found.until(f"state.view.zoom > {2 * zoom}")
        assert found.faults == []


def test_a_hundred_thousand_samples(tmp_path: Path) -> None:
    with page(many(tmp_path, 100_000), tmp_path) as found:
        assert found.value("state.count") == 100_000
        assert painted(found, tmp_path) > 12
        before = found.value("state.view")
        found.drag((400, 400), (350, 380), (300, 350))
        found.mouse("wheel", 400, 400, deltaX=0, deltaY=-400)
        found.until(f"state.view.zoom > {before['zoom']}")
        assert found.value("state.view.x") > before["x"]
        found.drag((100, 100), (700, 100), (700, 700), (100, 700), modifiers=8)
        found.until("state.selected.size > 1000")
        assert painted(found, tmp_path) > 12
        assert found.faults == []
