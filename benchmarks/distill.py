"""What a small student of a trained encoder is worth: `likewise distill`, over several trainings.

    python -m benchmarks.distill [--data digits] [--root FOLDER] [--teacher resnet18] [--student resnet8]
                                 [--teacher-epochs 30] [--epochs 20] [--labels 1 10 100] [--draws 5] [--seeds 3]
                                 [--json FILE] [--picture FILE.svg]

A teacher learns from the training part of a named set (`digits`; `fashion-mnist` with --root, the folder of its idx
files). For each seed a student learns its embeddings, and the same small encoder learns alone by the teacher's recipe,
for as many epochs, both with that seed; the teacher is one for all seeds. Accuracies are those of a linear head on
frozen features on the test part, each the mean over --draws draws of labels. Intervals are 95 % Student-t intervals
over the seeds, so over trainings; differences are paired by seed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import likewise as lw
from benchmarks.drawing import Axis, Line, draw
from benchmarks.proof import workplace
from benchmarks.suggest import shown
from likewise.commands.distill import Distilled
from likewise.evaluation.measures import interval

ROWS = ("teacher", "student", "alone", "untrained")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="digits", help="a named set (digits)")
    parser.add_argument("--root", type=Path, help="the folder with the files of the named set")
    parser.add_argument("--teacher", default="resnet18", help="its encoder (resnet18)")
    parser.add_argument("--student", default="resnet8", help="its encoder (resnet8)")
    parser.add_argument("--teacher-epochs", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=20, help="of the student, and of that alone (20)")
    parser.add_argument("--labels", type=int, nargs="+", default=[1, 10, 100], help="of each class (1 10 100)")
    parser.add_argument("--draws", type=int, default=5, help="of labels (5)")
    parser.add_argument("--seeds", type=int, default=3, help="trainings (3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also keep the results there")
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", help="also draw the accuracies there")
    asked = parser.parse_args()
    train, test = f"{asked.data}:train", f"{asked.data}:test"
    found: list[Distilled] = []
    with workplace() as folder:
        teacher = lw.pretrain(
            train,
            encoder=asked.teacher,
            epochs=asked.teacher_epochs,
            root=asked.root,
            out=folder / "teacher",
            progress=False,
        )
        for seed in range(asked.seeds):
            found.append(
                lw.distill(
                    teacher,
                    encoder=asked.student,
                    data=train,
                    epochs=asked.epochs,
                    train=train,
                    test=test,
                    labels_per_class=asked.labels,
                    seeds=asked.draws,
                    seed=seed,
                    root=asked.root,
                    out=folder / f"student-{seed}",
                    progress=False,
                )
            )
            print(f"seed {seed}: " + ", ".join(told(row, asked.labels) for row in found[-1].encoders), flush=True)
    accuracies = {
        name: [
            [row["accuracy"][count]["mean"] for count in asked.labels]
            for one in found
            for row in one.encoders
            if row["name"] == name
        ]
        for name in ROWS
    }
    sizes = {row["name"]: row for row in found[0].encoders}
    print(f"\n| encoder | parameters | MB | images/s | {' | '.join(f'{n} labels' for n in asked.labels)} |")
    print("| --- |" + " --- |" * (3 + len(asked.labels)))
    for name, rows in accuracies.items():
        size = sizes[name]
        values = [interval([row[i] for row in rows]) for i in range(len(asked.labels))]
        cells = [
            shown(values[i][0], None, None) if name == "teacher" else shown(*values[i]) for i in range(len(values))
        ]
        speed = max(row["samples_per_second"] for one in found for row in one.encoders if row["name"] == name)
        what = f"{size['parameters']:,} | {size['megabytes']:.2f} | {speed:,.0f}"
        print(f"| {name}, {size['encoder']} | {what} | {' | '.join(cells)} |")
    for other in ROWS:
        if other != "student":
            gains = [
                interval([row[i] - its[i] for row, its in zip(accuracies["student"], accuracies[other], strict=True)])
                for i in range(len(asked.labels))
            ]
            print(f"| student − {other} | | | | {' | '.join(shown(*gain, sign='+') for gain in gains)} |")
    if asked.picture:
        lines = {}
        for name, rows in accuracies.items():
            values = [interval([100 * row[i] for row in rows]) for i in range(len(asked.labels))]
            halves = [0.0 if high is None else high - mean for mean, _, high in values]
            label = f"{name}, {sizes[name]['parameters'] / 1e6:.2f} M"
            lines[label] = Line(asked.labels, [mean for mean, _, _ in values], halves)
        least = int(min(min(line.y) for line in lines.values()) // 10 * 10)
        draw(
            asked.picture,
            lines,
            Axis("labels per class", {count: str(count) for count in asked.labels}, log=True),
            Axis("accuracy, %", {value: str(value) for value in range(least, 101, 10)}),
        )
    if asked.json:
        asked.json.write_text(json.dumps([one.to_json() for one in found], indent=1) + "\n")


def told(row: dict[str, Any], counts: list[int]) -> str:
    return f"{row['name']} " + " ".join(f"{100 * row['accuracy'][count]['mean']:.1f}" for count in counts)


if __name__ == "__main__":
    main()
