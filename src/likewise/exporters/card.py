"""The model card of an export: what it is, how it is loaded, from what it was learned, what it was measured to be."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from likewise.console import count_of, one_line
from likewise.exporters.formats import GRAPHS
from likewise.exporters.image_models import building_code
from likewise.exporters.preparation import reading_code
from likewise.exporters.quantize import Quantized
from likewise.exporters.subject import Subject
from likewise.exporters.text_models import INPUTS, TOKENIZER, loading_arguments
from likewise.runs.evaluation import Evaluation
from likewise.runs.evaluation_table import accuracy

NOUNS = {"image": "images", "text": "texts", "audio": "recordings"}
MARKUP = re.compile(r"([\\`*_{}\[\]<>()#|!~&])")
Row = Sequence[object]


def write_card(
    subject: Subject, to: str, *, model: str, check: str, version: str, quantized: Quantized | None, opset: int | None
) -> str:
    """The text of README.md.

    Args:
        model: the name of the file of a graph.
        check: a sentence about the comparison with the run.
        version: of likewise.
    """
    config, recipe = subject.run.config, subject.run.config["recipe"]
    method = (config["method"] or {}).get("name")
    source = config["source"]
    learned = f"learned by {words(method)}" if method else "with the weights that it was given"
    lines = [
        f"# {words(subject.name)}: embeddings of {NOUNS[subject.modality]}",
        "",
        f"An encoder {learned}. It makes a vector of {subject.dim} numbers of each of the {NOUNS[subject.modality]}, "
        "to compare by cosine, to search, or to train a classifier on. "
        f"likewise {version} exported it to {to}{'' if opset is None else f', opset {opset}'}. {check}",
        "",
        "## Use",
        "",
        f"In this folder, with {_packages(subject, to)}:",
        "",
        "```python",
        *usage(subject, to, model),
        "```",
        "",
        "## Data",
        "",
        f"- {words(source['name'])}: {count_of(source['samples'], 'sample')}, without their labels"
        + (f"; of pairs, the half of {NOUNS[subject.modality]}" if subject.projection is not None else "")
        if method
        else f"- nothing was learned from {words(source['name'])}",
    ]
    if recipe.get("weights"):
        lines.append(f"- it went on from known weights: {words(recipe['weights'])}")
    said = {name: value for name, value in recipe.items() if value is not None and name != "options"}
    said |= recipe.get("options") or {}
    lines += ["", "## Recipe", "", "```yaml"]
    lines += [f"{one_line(str(name))}: {json.dumps(value, ensure_ascii=False)}" for name, value in said.items()]
    lines += [f"seed: {config['seed']}", "```", "", "## Evaluation", ""]
    lines += _figures(subject.run.evaluation)
    if quantized is not None:
        lines += ["", f"{quantized}.", "", "`model.onnx` is the network with weights of 32 bits."]
    lines += ["", "## Limits", "", *(f"- {limit}" for limit in _limits(subject, to)), "", "## Licence", ""]
    lines += ["Not stated. Whoever gives the model to others names its licence here, and that of its data.", ""]
    return "\n".join(lines)


def usage(subject: Subject, to: str, model: str) -> list[str]:
    """A program that embeds a sample, without likewise."""
    imports, reading = reading_code(subject, to)
    code = {"text": _text_usage, "audio": _audio_usage, "image": _image_usage}[subject.modality]
    more, lines = code(subject, to, model)
    plain = sorted({line for line in [*imports, *more] if line.startswith("import ")})
    named = sorted({line for line in [*imports, *more] if line.startswith("from ")})
    return [*plain, *named, "", *reading, *lines]


def _image_usage(subject: Subject, to: str, model: str) -> tuple[list[str], list[str]]:
    if to in GRAPHS:
        return _graph_usage(to, model, "images")
    views = subject.views
    if to == "timm":
        return ["import timm"], [
            'model = timm.create_model("local-dir:.", pretrained=True).eval()',
            "transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))",
            "embeddings = model(transform(picture)[None])",
        ]
    library = "timm" if not subject.name.startswith("resnet") else "torchvision"
    mean, std = ([[[value]] for value in values] for values in (views.mean, views.std))
    return ["import torch", f"import {library}", "from safetensors.torch import load_file"], [
        *building_code(subject),
        f"mean, std = torch.tensor({mean}), torch.tensor({std})",
        "embeddings = model((torch.from_numpy(images) / 255 - mean) / std)",
    ]


def _text_usage(subject: Subject, to: str, model: str) -> tuple[list[str], list[str]]:
    if to in GRAPHS:
        more, lines = _graph_usage(to, model, "input_ids")
        return [*more, "import numpy as np", "from tokenizers import Tokenizer"], [
            f'tokenizer = Tokenizer.from_file("{TOKENIZER}")',
            'tokenizer.encode_special_tokens = True  # "[MASK]" in a text is text',
            "input_ids = np.array([encoding.ids for encoding in tokenizer.encode_batch(texts)])",
            *lines,
        ]
    if to == "sentence-transformers":
        return ["from sentence_transformers import SentenceTransformer"], [
            'embeddings = SentenceTransformer(".").encode(texts)'
        ]
    network: Any = subject.network
    pooled = {
        "mean": "(states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)",
        "cls": "states[:, 0]",
        "last": "states[torch.arange(len(states)), mask.sum(1) - 1]",
    }[network.pooling]
    return ["import torch", "from transformers import AutoModel, AutoTokenizer"], [
        'tokenizer = AutoTokenizer.from_pretrained(".")',
        f'model = AutoModel.from_pretrained("."{_arguments(subject)}).eval()',
        'batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")',
        f"states, mask = model(**batch).last_hidden_state, batch[{INPUTS[1]!r}]",
        f"embeddings = {pooled}",
    ]


def _audio_usage(subject: Subject, to: str, model: str) -> tuple[list[str], list[str]]:
    if to in GRAPHS:
        return _graph_usage(to, model, "waves")
    return ["from transformers import AutoFeatureExtractor, AutoModel"], [
        'extractor = AutoFeatureExtractor.from_pretrained(".")',
        f'model = AutoModel.from_pretrained("."{_arguments(subject)}).eval()',
        'batch = extractor(list(waves), sampling_rate=rate, return_tensors="pt")',
        "embeddings = model(**batch).last_hidden_state.mean(1)",
    ]


def _graph_usage(to: str, model: str, name: str) -> tuple[list[str], list[str]]:
    if to == "onnx":
        return ["import onnxruntime"], [
            f'session = onnxruntime.InferenceSession("{model}")',
            f'[embeddings] = session.run(None, {{"{name}": {name}}})',
        ]
    return ["import torch"], [
        f'model = torch.export.load("{model}").module()',
        f"embeddings = model(torch.from_numpy({name}))",
    ]


def _arguments(subject: Subject) -> str:
    return "".join(f", {name}={value!r}" for name, value in loading_arguments(subject).items())


def _packages(subject: Subject, to: str) -> str:
    libraries = {
        "onnx": ["onnxruntime"],
        "torch.export": ["torch"],
        "torch": ["safetensors", "timm" if not subject.name.startswith("resnet") else "torchvision"],
    }.get(to, [to])
    reading = {"image": ["Pillow"], "audio": ["soundfile"], "text": ["tokenizers"] if to in GRAPHS else []}
    names = [*libraries, *reading[subject.modality]]
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


def _figures(evaluation: Evaluation | None) -> Iterable[str]:
    if evaluation is None:
        return ["The run was not evaluated: nothing is known of what the embeddings are worth."]
    lines: list[str] = []
    if evaluation.protocols:
        counts = evaluation.counts
        seeds = evaluation.get("seeds", 1)
        over = f"mean ± 95 % interval over {count_of(seeds, 'draw')} of labels" if seeds > 1 else "one draw of labels"
        chance = evaluation.get("chance")
        lines += [
            f"Accuracy on {words(evaluation.get('test', 'test data'))} in %, {over}"
            + ("" if chance is None else f"; chance {100 * chance:.1f}")
            + ". Labels are of "
            + f"{words(evaluation.get('train', 'training data'))}.",
            "",
        ]
        rows = []
        for protocol in evaluation.protocols:
            cells = (evaluation.summary(protocol, count) for count in counts)
            label = evaluation.details(protocol).get("label", protocol)
            rows.append([label, *("–" if row is None else accuracy(row) for row in cells)])
        lines += [*_table(["labels per class", *counts], rows), ""]
    for table in evaluation.tables:
        lines += [
            f"{words(table.title)}:",
            "",
            *_table(_heads(table), map(_cells, [table] * len(table.rows), table.rows)),
        ]
        lines += ["", words(table.caption), ""] if table.caption else [""]
    if evaluation.recognition is not None:
        lines += [f"Speech recognition was measured too: `{words('likewise report')}` shows its error rates.", ""]
    return lines[:-1]


def _heads(table: Any) -> list[str]:
    return [f"{name}, {unit}" if unit else name for name, unit in zip(table.head, table.units, strict=True)]


def _cells(table: Any, row: Row) -> list[str]:
    return [
        "–"
        if value is None
        else value
        if isinstance(value, str)
        else f"{100 * float(str(value)):.1f}"
        if unit == "%"
        else f"{float(str(value)):.4g}"
        for value, unit in zip(row, table.units, strict=True)
    ]


def _table(head: Row, rows: Iterable[Row]) -> list[str]:
    shown = [head, ["---"] * len(head), *rows]
    return [
        "| " + " | ".join(str(cell) if place == 1 else words(cell) for cell in row) + " |"
        for place, row in enumerate(shown)
    ]


def _limits(subject: Subject, to: str) -> Iterable[str]:
    yield "Other data than that of the evaluation, if there was one, may be embedded worse: measure it there."
    yield "Embeddings do not have length 1."
    verdict = subject.run.verdict
    if verdict is not None and verdict.alarm:
        yield f"The training ended with a warning: {words(verdict.message)}"
    views = subject.views
    if subject.modality == "text":
        yield f"A text is cut after {views.max_tokens} tokens, those of its beginning and end among them."
    elif subject.modality == "audio":
        yield f"Of a recording, {views.seconds:g} s in the middle are embedded, at {views.sample_rate:,} Hz."
    else:
        yield f"Of an image, the square in the middle is seen, at {views.size} x {views.size} pixels."


def words(text: object) -> str:
    """A text from elsewhere, as Markdown shows it: on one line, without markup of its own."""
    return MARKUP.sub(r"\\\1", one_line(str(text)))
