import io

from rich.console import Console

from likewise.runs.evaluation_table import render_table

FIGURES = {
    "title": "finding [one] by the other",
    "caption": "1,234 pairs",
    "head": ["looked up", "by", "recall@1", "median rank", "perplexity"],
    "units": ["", "", "%", "", ""],
    "rows": [
        ["image → text", "encoder", 0.43333, 2.0, 1203.4],
        ["image → text", "chance", 0.0008, 617.0, None],
        ["text → image", "encoder", 1, 12, 41.27],
    ],
}


def text_of(shown):
    console = Console(record=True, width=120, file=io.StringIO())
    console.print(shown)
    return " ".join(console.export_text().split())


def test_figures_without_labels_are_a_table_of_their_own():
    table = render_table({"test": "stamps", "samples": {"test": 9}, "tables": [FIGURES]})
    assert [str(column.header) for column in table.columns][2:] == ["R@1, %", "median rank", "perplexity"]
    assert [list(map(str, column.cells)) for column in table.columns][1:] == [
        ["encoder", "chance", "encoder"],
        ["43.3", "0.1", "100.0"],
        ["2", "617", "12"],
        ["1,203", "–", "41.3"],
    ]
    assert [column.justify for column in table.columns] == ["left", "left", "right", "right", "right"]
    assert "finding [one] by the other" in text_of(table)
    assert "1,234 pairs; R@: recall@" in text_of(table)


def test_tables_of_retrieval_break_no_word_in_a_terminal_of_80_columns():
    head = ["query → target", "encoder", "recall@1", "recall@5", "recall@10", "mean reciprocal rank", "median rank"]
    ways = ("caption in German → photograph", "photograph → caption in German")
    rows = [[way, name, 1.0, 1.0, 1.0, 0.123, 12_345] for way in ways for name in ("encoder", "untrained", "TF-IDF")]
    table = {"title": "retrieval", "caption": "9 pairs", "head": head, "units": ["", "", "%", "%", "%", "", ""]}
    console = Console(record=True, width=80, file=io.StringIO())
    console.print(render_table({"tables": [table | {"rows": rows}]}))
    lines = console.export_text().splitlines()
    words = {word for line in lines for word in line.replace("┃", " ").replace("│", " ").split()}
    assert {"R@1,", "R@5,", "R@10,", "MRR", "median", "rank", "100.0", "0.123", "12,345"} <= words
    assert {"query", "target", "encoder", "caption", "German", "photograph", "untrained", "TF-IDF"} <= words
    assert "MRR: mean reciprocal rank" in " ".join(lines[-2:])
    assert max(map(len, lines)) <= 80


def test_several_tables_follow_each_other():
    few = {
        "test": "digits:test",
        "seeds": 1,
        "chance": 0.1,
        "majority": 0.1,
        "labels_per_class": [1],
        "protocols": ["raw-knn"],
        "protocol_details": {"raw-knn": {"label": "Nearest neighbours on [TF-IDF]"}},
        "summary": [{"protocol": "raw-knn", "labels_per_class": 1, "mean": 0.5, "low": None, "high": None}],
    }
    text = text_of(render_table(few | {"tables": [FIGURES, FIGURES | {"title": "again"}]}))
    assert text.index("accuracy on digits:test") < text.index("finding [one]") < text.index("again")
    assert "most frequent class 10.0" in text
    assert "Nearest neighbours on [TF-IDF]" in text


def test_table_shows_means_with_half_widths_and_chance():
    result = {
        "test": "digits:test",
        "seeds": 5,
        "chance": 0.1,
        "majority": 0.112,
        "labels_per_class": [1, "all"],
        "protocols": ["scratch", "frozen"],
        "protocol_details": {"scratch": {"label": "Trained from scratch"}, "frozen": {"label": "Frozen encoder"}},
        "summary": [
            {"protocol": "scratch", "labels_per_class": 1, "mean": 0.5, "low": 0.45, "high": 0.55},
            {"protocol": "scratch", "labels_per_class": "all", "mean": 0.99, "low": 0.98, "high": 1.0},
            {"protocol": "frozen", "labels_per_class": 1, "mean": 0.8, "low": 0.79, "high": 0.81},
            {"protocol": "frozen", "labels_per_class": "all", "mean": 0.985, "low": None, "high": None},
        ],
    }
    table = render_table(result)
    assert [list(map(str, column.cells)) for column in table.columns] == [
        ["Trained from scratch", "Frozen encoder"],
        ["50.0 ± 5.0", "[bold]80.0 ± 1.0[/bold]"],
        ["[bold]99.0 ± 1.0[/bold]", "98.5"],
    ]
    console = Console(record=True, width=100, file=io.StringIO())
    console.print(table)
    text = " ".join(console.export_text().split())
    assert "accuracy on digits:test, %" in text
    assert "chance 10.0, most frequent class 11.2" in text


def test_differences_and_uneven_classes_have_tables_of_their_own():
    row = {"labels_per_class": 1, "mean": 0.8, "low": 0.79, "high": 0.81, "balanced_accuracy": 0.7, "macro_f1": 0.65}
    result = {
        "test": "stamps",
        "seeds": 5,
        "chance": 0.1,
        "majority": 0.4,
        "labels_per_class": [1],
        "protocols": ["frozen", "scratch"],
        "summary": [row | {"protocol": "frozen"}, row | {"protocol": "scratch", "mean": 0.75, "macro_f1": 0.5}],
        "differences": [
            {"protocol": "frozen", "versus": "scratch", "labels_per_class": 1, "mean": 0.05, "low": 0.03, "high": 0.07},
            {"protocol": "frozen", "versus": "[raw]", "labels_per_class": 1, "mean": -0.01, "low": None, "high": None},
        ],
        "uneven": True,
    }
    text = text_of(render_table(result))
    assert "70.0 / 65.0" in text
    assert "70.0 / 50.0" in text
    assert "frozen - scratch" in text
    assert "+5.0 ± 2.0" in text
    assert "frozen - [raw]" in text
    assert "\N{MINUS SIGN}1.0" in text
    assert "balanced" not in text_of(render_table(result | {"uneven": False}))
