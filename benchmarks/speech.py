"""What is said, with few transcripts: speech recognition on frozen encoders that learned from speech without any.

    python -m benchmarks.speech [--methods hubert best-rq wav2vec2] [--minutes 10 | --epochs N] [--seeds 3]
                                [--judged prompts syllables] [--labelled 10 100 all] [--draws 1]
                                [--protocols frozen untrained raw-ctc]
                                [--prompts FOLDER] [--said FILE] [--letters FOLDER] [--json FILE]

`prompts`: those of Debian's `asterisk-core-sounds-en-wav` in English, one voice; what is said in them is in
`asterisk-core-sounds-en`. `syllables`: the short words and syllables of `klettres-data`, many languages and voices; the
name of a file is its transcript. A fifth of each is held out. One encoder learns from all that is not, and from the
single letters of `klettres-data`, which have no transcripts here.

The table: character error rate with few transcripts. `frozen`, `untrained` and `raw-ctc` (log-mel spectrograms) have
the same head; `--protocols scratch fine-tuned`, which take much longer, also train the encoder. Intervals are 95 % over
the training seeds.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import re
import time
import zlib
from pathlib import Path
from statistics import fmean
from typing import Any

import likewise
from benchmarks.proof import half_width, workplace
from likewise.evaluation.measures import interval

PROMPTS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
SAID = Path("/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz")
LETTERS = Path("/usr/share/klettres")
JUDGED = ("prompts", "syllables")
HELD_OUT = 5  # one of so many
SYLLABLE = re.compile(r"(?:\d+-)?([a-z]+)")  # of a file's name


def prompts(place: Path, said: Path) -> dict[Path, str]:
    """The recordings and what is said in them; sounds such as `[beep]` are left out."""
    found = {}
    with gzip.open(said, "rt", encoding="utf-8") as lines:
        for line in lines:
            name, colon, text = line.strip().partition(": ")
            path = place / f"{name}.wav"
            if colon and not line.startswith(";") and "[" not in text and path.is_file():
                found[path] = text
    return found


def syllables(place: Path) -> dict[Path, str]:
    """The recordings whose names are letters, and what these are."""
    matches = {path: SYLLABLE.fullmatch(path.stem) for path in sorted(place.glob("*/syllab/*.ogg"))}
    return {path: match[1] for path, match in matches.items() if match}


def laid_out(said: dict[Path, str], place: Path, folder: Path) -> tuple[Path, Path, Path]:
    """Folders to learn from and to be tested on, and the table of transcripts; names keep their folders."""
    parts = folder / "train", folder / "test"
    for part in parts:
        part.mkdir(parents=True)
    with (folder / "said.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("file", "text"))
        for path, text in said.items():
            name = str(path.relative_to(place)).replace("/", "-")
            (parts[zlib.crc32(name.encode()) % HELD_OUT == 0] / name).symlink_to(path)
            table.writerow((name, text))
    return *parts, folder / "said.csv"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=["hubert", "best-rq", "wav2vec2"], metavar="NAME")
    parser.add_argument("--minutes", type=float, default=10, help="of each training (10)")
    parser.add_argument("--epochs", type=int, help="of each training, instead of minutes")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each method (3)")
    parser.add_argument("--judged", nargs="+", choices=JUDGED, default=list(JUDGED))
    parser.add_argument("--labelled", nargs="+", default=["10", "100", "all"], help="transcripts to learn from")
    parser.add_argument("--protocols", nargs="+", default=["frozen", "untrained", "raw-ctc"], metavar="NAME")
    parser.add_argument("--draws", type=int, default=1, help="of the transcripts (1)")
    parser.add_argument("--prompts", type=Path, default=PROMPTS)
    parser.add_argument("--said", type=Path, default=SAID)
    parser.add_argument("--letters", type=Path, default=LETTERS)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also keep the results there, as they come")
    asked = parser.parse_args()
    budget = {"minutes": asked.minutes} if asked.epochs is None else {"epochs": asked.epochs}
    labelled = [count if count == "all" else int(count) for count in asked.labelled]
    kept: list[dict[str, Any]] = []
    with workplace() as folder:
        data = {
            "prompts": laid_out(prompts(asked.prompts, asked.said), asked.prompts, folder / "prompts"),
            "syllables": laid_out(syllables(asked.letters), asked.letters, folder / "syllables"),
        }
        speech = folder / "speech"
        speech.mkdir()
        for name, (train, _, _) in data.items():
            (speech / name).symlink_to(train)
        for language in sorted(asked.letters.glob("*/alpha")):
            (speech / f"letters-{language.parent.name}").symlink_to(language)
        for method in asked.methods:
            for seed in range(asked.seeds):
                began = time.perf_counter()
                run = likewise.pretrain(
                    speech, method=method, seed=seed, out=folder / f"{method}-{seed}", progress=False, **budget
                )
                epochs, samples = run.config["recipe"]["epochs"], run.config["source"]["samples"]
                seconds = time.perf_counter() - began
                print(f"{method}, seed {seed}: {epochs} epochs of {samples:,} recordings, {seconds:.0f} s", flush=True)
                for name in asked.judged:
                    train, test, said = data[name]
                    found = likewise.evaluate(
                        run,
                        train=train,
                        test=test,
                        transcripts=said,
                        labelled=labelled,
                        seeds=asked.draws,
                        protocols=asked.protocols,
                        progress=False,
                    )["recognition"]
                    kept.append({"method": method, "seed": seed, "judged": name, "epochs": epochs, **found})
                    if asked.json:
                        asked.json.write_text(json.dumps(kept, indent=1) + "\n")
            for name in asked.judged:
                show(method, name, [row for row in kept if (row["method"], row["judged"]) == (method, name)])


def show(method: str, judged: str, trainings: list[dict[str, Any]]) -> None:
    """The character error rates of a method's trainings, and what is not learned beside them."""
    print(f"\n{method}, {judged}: character error rate in %")
    for protocol in trainings[0]["protocols"]:
        cells = []
        for count in trainings[0]["labelled"]:
            values = [
                fmean(t["cer"] for t in training["trials"] if (t["protocol"], t["labelled"]) == (protocol, count))
                for training in trainings
            ]
            mean, low, high = interval(values)
            cells.append(f"{count}: {100 * mean:.1f}{half_width({'low': low, 'high': high})}")
        print(f"  {protocol:<12}{'   '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
