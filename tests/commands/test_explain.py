"""`likewise explain` as it is typed: two samples, one, a whole encoder, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image
from sklearn.datasets import load_digits
from torch import nn

import likewise as lw
from exported import build_run
from likewise.cli import main
from small_data import SAMPLE_RATE, recordings, sentences
from small_files import captioned, lines, notes
from typed_commands import answered, refused

HOSTILE = "<img src=x onerror=alert(1)> & so on"


def total(values: Any) -> float:
    return float(np.sum(np.asarray(values, dtype=np.float64)))


def page_of(path: Path | str) -> str:
    """A page that has no script, and fetches nothing."""
    page = Path(path).read_text(encoding="utf-8")
    assert "<script" not in page
    assert "default-src &#39;none&#39;" in page
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", page)
    return page


def test_two_images_match_part_by_part(digits_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = answered(capsys, "explain", digits_run, "3", "13", "--out", "pages/alike.html", "--no-progress")
    assert said["matches"][0]["by"] == "places"
    values = np.array(said["matches"][0]["values"])
    assert total(values) == pytest.approx(said["similarity"], abs=1e-5)
    ids = lw.embed(digits_run, "digits:train", progress=False)
    cosine = ids.vectors[3] @ ids.vectors[13] / np.linalg.norm(ids.vectors[3]) / np.linalg.norm(ids.vectors[13])
    assert said["similarity"] == pytest.approx(float(cosine), abs=1e-5)
    first, second = said["samples"]
    assert (first["id"], second["id"]) == ("3", "13")
    assert [one["by"] for one in first["maps"]] == ["places", "occlusion"]
    assert total(first["maps"][0]["values"]) == pytest.approx(said["similarity"], abs=1e-5)
    np.testing.assert_allclose(first["maps"][0]["values"], values.sum(1), atol=1e-5)
    assert first["maps"][0]["correlation_with_untrained"] is not None
    curves = first["maps"][1]["curves"]
    assert curves["deletion"][0] == pytest.approx(said["similarity"], abs=1e-5)
    page = page_of(said["out"])
    assert page.count('class="heat"') >= 8
    assert "exact, by places" in page
    assert [each["by"] for each in said["matches"]] == ["places", "occlusion"]


def test_maps_are_followed_while_the_encoder_is_initialized_stage_by_stage(
    digits_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("3", "13", "--cascade", "--out", "page.html", "--no-progress")
    said = answered(capsys, "explain", digits_run, *words)
    for sample in said["samples"]:
        assert sample["stages"][-1] == "body.5"
        for found in sample["maps"]:
            assert len(found["cascade"]) == 1 + len(sample["stages"])
            assert found["cascade"][0] == pytest.approx(1)
            assert found["cascade"][-1] == found["correlation_with_untrained"]
    page = page_of("page.html")
    assert page.count(">untrained stages<") == 2
    assert "body.0 to body.1, body.3, body.4, body.5" in page
    assert main(["explain", str(digits_run), *words]) == 0
    curve = " ".join(f"{value:.2f}" for value in said["samples"][1]["maps"][1]["cascade"])
    assert curve in capsys.readouterr().out
    plain = answered(capsys, "explain", digits_run, "3", "--no-progress")
    assert plain["samples"][0]["stages"] is None
    assert "untrained stages" not in page_of(lw.explain(digits_run, "3", out="plain.html", progress=False).out or "")


def test_a_file_is_a_sample_and_an_image_in_memory_too(digits_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    Image.fromarray(pixels).save("one.png")
    said = answered(capsys, "explain", digits_run, "one.png", "--by", "occlusion", "--no-progress")
    assert said["similarity"] is None
    [sample] = said["samples"]
    assert sample["id"] == "one.png"
    [found] = sample["maps"]
    assert (found["by"], found["shape"]) == ("occlusion", [4, 4])
    same = lw.explain(digits_run, Image.fromarray(pixels), by="occlusion", progress=False).to_json()
    assert same["samples"][0]["maps"][0]["values"] == pytest.approx(found["values"], abs=1e-6)


def test_a_whole_encoder_is_accounted_for(digits_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save("some.npy", (load_digits().images[:80] * 15).astype(np.uint8))
    words = ("--data", "some.npy", "--out", "encoder.html", "--no-progress")
    [account] = answered(capsys, "explain", digits_run, *words)["accounts"]
    assert (account["modality"], account["samples"]) == ("image", 80)
    changes = {each["change"]: each for each in account["ignores"]}
    assert {"crop to half the area", "rotation up to 30°", "blur", "noise", "mirroring"} <= set(changes)
    assert "colour" not in changes
    assert all(-1 <= each["cosine"] <= 1 and each["untrained"] is not None for each in changes.values())
    assert {each["property"] for each in account["knows"]} >= {"brightness", "position of the content"}
    assert {each["nuisance"] for each in account["shortcut"]["shortcuts"]} == {
        "brightness",
        "the border",
        "the corners",
    }
    page = page_of("encoder.html")
    assert "What it ignores" in page
    assert "What it knows" in page
    assert "Which shortcut it took" in page


def test_texts_are_explained_token_by_token(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("transformers")
    run = build_run(Path("run"), lines(Path("texts.txt"), sentences(40)), max_tokens=24, vocab_size=150)
    assert run.modality == "text"
    said = answered(capsys, "explain", "run", "wrote the digit two", HOSTILE, "--out", "page.html", "--no-progress")
    names = said["matches"][0]["names"]
    assert names[0][0] == "[CLS]"
    assert names[0][-1] == "[SEP]"
    assert total(said["matches"][0]["values"]) == pytest.approx(said["similarity"], abs=1e-5)
    assert said["samples"][1]["id"] == HOSTILE
    page = page_of("page.html")
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert lw.explain("run", "digit " * 40, by="occlusion", progress=False).similarity is None
    assert "the text: 1 of 1 document is cut after 24 tokens" in capsys.readouterr().err
    by_row = answered(capsys, "explain", "run", "4", "--data", "texts.txt", "--no-progress")
    assert "digit" in "".join(by_row["samples"][0]["maps"][0]["names"])
    line = refused(capsys, "explain", "run", "4000", "--data", "texts.txt", "--no-progress")
    assert line == "4000 is no row of texts, which has 40 rows, from 0 on"
    line = refused(capsys, "explain", "run", "a", "red", "apple", "--no-progress")
    assert line == "explain has no use for 'apple': put a text of several words in quotes, or leave it out"
    [account] = answered(capsys, "explain", "run", "--out", "page.html", "--no-progress")["accounts"]
    assert "words in any order" in {each["change"] for each in account["ignores"]}
    assert {each["property"] for each in account["knows"]} >= {"number of tokens"}


def test_recordings_are_explained_over_time(capsys: pytest.CaptureFixture[str]) -> None:
    folder = notes(Path("notes"), 24)
    build_run(Path("run"), folder, encoder="mel-resnet8", sample_rate=SAMPLE_RATE, seconds=0.5)
    [file] = [str(path) for path in sorted(folder.rglob("*.wav"))[:1]]
    said = answered(capsys, "explain", "run", file, "timbre b/1.wav", "--out", "page.html", "--no-progress")
    assert total(said["matches"][0]["values"]) == pytest.approx(said["similarity"], abs=1e-5)
    assert said["samples"][1]["id"] == "timbre b/1.wav"
    page = page_of("page.html")
    assert "<audio" in page
    [account] = answered(capsys, "explain", "run", "--no-progress")["accounts"]
    assert "gain ± 12 dB" in {each["change"] for each in account["ignores"]}
    assert "loudness" in {each["property"] for each in account["knows"]}
    assert "duration" not in {each["property"] for each in account["knows"]}  # all have the same


def test_a_pair_is_explained_words_against_regions(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("transformers")
    captioned(Path("shots"), 24)
    build_run(Path("run"), "shots", read={"modality": "pair"}, size=16, max_tokens=16, vocab_size=120)
    said = answered(capsys, "explain", "run", "3.png", "--out", "page.html", "--no-progress")
    assert [each["modality"] for each in said["samples"]] == ["image", "text"]
    assert said["matches"][0]["by"] == "places"
    assert np.array(said["matches"][0]["values"]).shape[1] == len(said["matches"][0]["names"][1])
    assert total(said["matches"][0]["values"]) == pytest.approx(said["similarity"], abs=1e-5)
    page_of("page.html")
    mixed = answered(capsys, "explain", "run", "shots/4.png", "a red square", "--no-progress")
    assert [each["modality"] for each in mixed["samples"]] == ["image", "text"]
    accounts = answered(capsys, "explain", "run", "--out", "page.html", "--no-progress")["accounts"]
    assert [each["modality"] for each in accounts] == ["image", "text"]
    assert accounts[0]["shortcut"]["shortcuts"][0]["matched"] is None
    assert accounts[0]["shortcut"]["shortcuts"][0]["followed"] is not None
    assert accounts[1]["shortcut"] is None
    line = refused(capsys, "explain", "run", "3.png", "a red square", "--no-progress")
    assert line == "3.png is a pair, which is explained alone, half by half: leave the other sample out"


def test_mistakes_end_in_one_line(digits_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write("a.wav", recordings(1)[0][0], SAMPLE_RATE)
    Path("notes.txt").write_text("a text\n")
    Path("broken.png").write_bytes(b"no picture")
    cases = {
        ("a.wav",): f"a.wav is a file of audio, {digits_run} takes image samples",
        ("notes.txt",): None,
        (
            "nowhere.png",
        ): f"'nowhere.png' is neither a file nor a row of digits:train; {digits_run} takes image samples",
        (
            "a red apple",
        ): f"'a red apple' is neither a file nor a row of digits:train; {digits_run} takes image samples",
        ("broken.png",): None,
        ("3", "--out", "page.pdf"): "out must end in .html, got page.pdf",
        ("--by", "places"): "--by says how samples are explained, and none is named: name one, or leave it out",
        ("--cascade",): "--cascade says how maps of samples change, and none is named: name one, or leave it out",
    }
    for words, line in cases.items():
        said = refused(capsys, "explain", digits_run, *words, "--no-progress")
        assert line is None or said == line
    assert "broken.png" in refused(capsys, "explain", digits_run, "broken.png", "--no-progress")
    with pytest.raises(lw.UserError, match=r"^b is compared with a: name a, too"):
        lw.explain(digits_run, b="3", progress=False)
    line = refused(capsys, "explain", digits_run, "3", "--by", "gradient", "--no-progress")
    assert "gradients" in line


def test_places_are_refused_where_the_embedding_is_another(capsys: pytest.CaptureFixture[str]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 28, 28), dtype=np.uint8)
    np.save("pixels.npy", pixels)
    build_run(Path("run"), "pixels.npy", encoder="vit_tiny")
    line = refused(capsys, "explain", "run", "0", "--by", "places", "--no-progress")
    assert line == (
        "by must be gradients or occlusion with the encoder vit_tiny, whose embedding is not the mean of its places, "
        "got 'places'"
    )


def test_gradients_are_shown_where_places_do_not_apply(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("transformers")
    build_run(Path("run"), lines(Path("texts.txt"), sentences(40)), max_tokens=24, vocab_size=150, pooling="cls")
    said = answered(capsys, "explain", "run", "wrote the digit two", "read it", "--out", "page.html", "--no-progress")
    assert [one["by"] for one in said["samples"][0]["maps"]] == ["gradients", "occlusion"]
    assert [each["by"] for each in said["matches"]] == ["occlusion"]
    assert "sum to the difference of the two cosines" in page_of("page.html")


def test_a_module_of_your_own_has_no_cascade() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 8, 8), dtype=np.uint8)
    own = nn.Sequential(nn.Flatten(), nn.Linear(64, 16))
    run = lw.pretrain(pixels, encoder=own, epochs=1, out="run", progress=False)
    assert lw.explain(run, pixels[0], by="occlusion", progress=False).similarity is None
    with pytest.raises(lw.UserError, match=r"^cascade takes an encoder that can be built again, not a module of your"):
        lw.explain(run, pixels[0], by="occlusion", cascade=True, progress=False)
