"""Package descriptions by their section, from few labels; and how well the next token is foreseen.

    python -m benchmarks.texts [--data descriptions.csv] [--methods bag-of-words simcse bert gpt] [--epochs N]
                               [--seeds 3] [--texts 1000 5000 ...]

Without --data: the 63,000 descriptions that Debian's `apt-cache dumpavail` knows after `apt-get update`, their sections
with at least 200 of them. Columns `text` and `section`. A fifth of each class is held out; the encoder never sees it.
All but GPT are judged beside TF-IDF with logistic regression and beside the same encoder untrained, with 10 and 100
labels a class; GPT by its perplexity beside bigrams.

`--texts`: one training for each of these numbers of texts to learn from, drawn at random; labels and TF-IDF are of all.
"""

from __future__ import annotations

import csv
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import likewise
from benchmarks.proof import PROTOCOLS, options, results, show, trained, workplace
from likewise.data.open import open_source
from likewise.data.sampling import order
from likewise.data.source import Subset

FEWEST = 200  # descriptions of a section: 100 labels, and something to test on


def descriptions() -> Iterator[tuple[str, str]]:
    """(description, section) of every package that apt knows."""
    dump = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, text=True, check=True).stdout
    for block in dump.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and not line.startswith(" "))
        text = fields.get("Description-en") or fields.get("Description")
        if text and "Section" in fields:
            yield text, fields["Section"].rpartition("/")[2]


def write(path: Path) -> None:
    rows = list(descriptions())
    counts = Counter(section for _, section in rows)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([("text", "section"), *(row for row in rows if counts[row[1]] >= FEWEST)])


def main() -> None:
    parser = options(__doc__.splitlines()[0], "a table with columns text and section (apt's descriptions)")
    parser.add_argument("--texts", nargs="+", type=int, metavar="N", help="learn from so many (all)")
    arguments = parser.parse_args()
    more = {} if arguments.epochs is None else {"epochs": arguments.epochs}
    with workplace() as folder, results(arguments.json) as kept:
        data = arguments.data or folder / "descriptions.csv"
        if arguments.data is None:
            write(data)
        every = open_source(f"{data}:train")
        labelled = {"train": every, "test": open_source(f"{data}:test")}
        mixed = order(len(every), seed=0, epoch=0)
        for method in arguments.methods or ("bag-of-words", "simcse", "bert", "gpt"):
            for count in arguments.texts or (len(every),):
                some = Subset(every, mixed[:count].sort().values, name=f"{count}")
                run = trained(some, method, folder / f"{count}", **more)
                protocols = ("frozen", "untrained", "raw-logistic") if method == "gpt" else PROTOCOLS
                kept[f"{method} {count}"] = found = likewise.evaluate(
                    run,
                    **labelled,
                    labels_per_class=(10, 100),
                    seeds=arguments.seeds,
                    protocols=protocols,
                    progress=False,
                )
                show(found)
                if method == "gpt":
                    print("  generated: " + likewise.generate(run, prompt="library for", max_new_tokens=20))


if __name__ == "__main__":
    main()
