import io

from rich.console import Console

from likewise.evaluation.table import render_table


def test_table_shows_means_with_half_widths_and_chance():
    result = {
        "test": "digits:test",
        "seeds": 5,
        "chance": 0.1,
        "majority": 0.112,
        "labels_per_class": [1, "all"],
        "ways": ["scratch", "frozen"],
        "summary": [
            {"way": "scratch", "labels_per_class": 1, "mean": 0.5, "low": 0.45, "high": 0.55},
            {"way": "scratch", "labels_per_class": "all", "mean": 0.99, "low": 0.98, "high": 1.0},
            {"way": "frozen", "labels_per_class": 1, "mean": 0.8, "low": 0.79, "high": 0.81},
            {"way": "frozen", "labels_per_class": "all", "mean": 0.985, "low": None, "high": None},
        ],
    }
    table = render_table(result)
    assert [list(column.cells) for column in table.columns] == [
        ["scratch", "frozen"],
        ["50.0 ± 5.0", "[bold]80.0 ± 1.0[/bold]"],
        ["[bold]99.0 ± 1.0[/bold]", "98.5"],
    ]
    console = Console(record=True, width=100, file=io.StringIO())
    console.print(table)
    text = " ".join(console.export_text().split())
    assert "accuracy on digits:test, %" in text
    assert "chance 10.0, most frequent class 11.2" in text
