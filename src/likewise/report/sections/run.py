"""The run itself: what was learned from what, the configuration, and the commands that repeat it."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from likewise.console import count_of
from likewise.report.contents import Contents
from likewise.report.pieces import Section, code, folder, joined, noun, settings
from likewise.runs.evaluation import Evaluation

FIRST_SKIPPED = 10
TRAINED = "trained"  # by gradients, in a method that has no other network
OWN_SETTINGS = ("likewise", "data", "seed", "precision", "created", "seconds")


def learned_from(contents: Contents) -> str:
    """What was learned from what, in one sentence."""
    config = contents.config
    # An encoder of the user's own has no configuration: its entry is null.
    method, encoder, source = (config.get(part) or {} for part in ("method", "encoder", "source"))
    what = f"The encoder {encoder['name']}" if "name" in encoder else "An encoder"
    if not method and (config.get("recipe") or {}).get("weights"):
        return f"{what} with the weights {config['recipe']['weights']}, as given."
    role = method.get("encoder", TRAINED)
    by = f" by {method['name']}" if "name" in method else ""
    by += f" ({role} network)" if role != TRAINED else ""
    data = source.get("name") or config.get("data")
    on = f" on {data}" if data else ""
    return f"{what}, trained{by}{on} with{'' if _supervised(contents) else 'out'} labels."


def summary_facts(contents: Contents) -> list[tuple[str, str]]:
    """(name, value) of the few numbers that the head of the page shows."""
    config, source = contents.config, contents.config.get("source") or {}
    documents = config.get("documents") or {}
    facts: list[tuple[str, str]] = []
    if "samples" in source:
        labelled = "labelled" if _supervised(contents) else "unlabelled"
        samples = documents["documents"] if documents.get("blocks") else source["samples"]
        facts.append((f"{labelled} {noun(contents, 2)}", f"{samples:,}"))
    if documents.get("blocks"):
        facts.append((f"blocks of up to {documents['max_tokens']:,} tokens", f"{documents['blocks']:,}"))
    if documents.get("tokens"):
        share = f"{documents['used']:,} of {documents['tokens']:,} ({documents['used'] / documents['tokens']:.1%})"
        facts.append(("tokens used", share))
    if "seconds" in config:
        facts.append(("pretraining", _duration(float(config["seconds"]))))
    elif len(contents.metrics.get("step", [])):
        facts.append(("last step (not finished)", f"{int(np.nanmax(contents.metrics['step'])):,}"))
    budget = config.get("budget") or {}
    if budget.get("minutes") is not None:
        used = f"{budget['used_minutes']:.1f} of " if budget.get("used_minutes") is not None else ""
        facts.append(("budget", f"{used}{count_of(budget['minutes'], 'minute')}"))
    if "samples_per_second" in config:
        each = "blocks" if documents.get("blocks") else noun(contents, 2)
        facts.append((f"{each} a second", f"{config['samples_per_second']:,.0f}"))
    if contents.evaluation and "seeds" in contents.evaluation:
        facts.append(("seeds", str(contents.evaluation["seeds"])))
    return facts


def reproduce(contents: Contents) -> Section | None:
    """The configuration, what was skipped, and the commands that made the run."""
    config, parts = contents.config, []
    evaluation = contents.evaluation or Evaluation()
    commands = [config.get("command"), evaluation.get("command"), f"likewise report {folder(contents)}"]
    parts.append(code("\n".join(str(command) for command in commands if command)))
    tables = [
        (key.capitalize(), config[key])
        for key in ("recipe", "encoder", "views", "method", "documents")
        if config.get(key)
    ]
    if evaluation.get("settings"):
        tables.append(("Evaluation", evaluation["settings"]))
    if rest := {key: config[key] for key in OWN_SETTINGS if key in config}:
        tables.append(("Run", rest))
    parts.append(Markup('<div class="tables">{}</div>').format(joined(settings(*table) for table in tables)))
    if contents.skipped:
        items = joined(
            Markup("<li><code>{}</code> {}</li>").format(file, reason)
            for file, reason in contents.skipped[:FIRST_SKIPPED]
        )
        more = len(contents.skipped) - FIRST_SKIPPED
        tail = Markup("<li>and {:,} more, in <code>skipped.csv</code></li>").format(more) if more > 0 else ""
        found = Markup("<h3>Skipped files: {:,}</h3><ul>{}{}</ul>")
        parts.append(found.format(len(contents.skipped), items, tail))
    if contents.unreadable:
        items = joined(Markup("<li><code>{}</code></li>").format(line) for line in contents.unreadable)
        parts.append(Markup("<h3>Damaged files</h3><ul>{}</ul>").format(items))
    return Section("Configuration and commands", joined(parts))


def _supervised(contents: Contents) -> bool:
    """Whether the training itself was given labels."""
    return bool((contents.config.get("method") or {}).get("supervised"))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
