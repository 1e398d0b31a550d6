"""`likewise serve`: a run or a classifier as a small HTTP service."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likewise.checks import check_int
from likewise.console import tell
from likewise.errors import UserError

if TYPE_CHECKING:
    from likewise.serving.service import Service

TOKEN = "LIKEWISE_TOKEN"
"""The environment variable of the token that requests must bear."""
HIGHEST_PORT = 65_535


def serve(
    model: Any,
    *,
    collection: str | Path | None = None,
    run: Any = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    queue: int = 64,
    batch_size: int = 64,
    max_megabytes: int = 16,
) -> Service:
    """Answer requests over HTTP: embeddings, labels of a classifier, matches of a search.

    POST /embed, /predict (of a classifier) and /search (with a collection) take one sample as the body, or several as
    JSON; GET /health says whether it is ready. Requests that come together are embedded together. The service stops on
    Ctrl-C or SIGTERM, when those that it has let in are answered. If the environment variable LIKEWISE_TOKEN is set,
    requests must bear it.

    Args:
        model: a finished run or its folder, or a classifier that `likewise fit` made.
        collection: a .parquet file that `likewise embed` wrote with this run, to be searched; it is held in memory.
        run: of a classifier, the run that it stands on, if it was moved.
        host: the address to listen at; 127.0.0.1 can be reached from this machine only, 0.0.0.0 from all others too.
        port: the port to listen at; 0 is any free one.
        queue: requests that may wait or be answered at once; more are told to come again (429).
        batch_size: samples that are embedded at a time.
        max_megabytes: the largest body of a request.

    Returns:
        The running service: `address`, and `stop()`; as a context it stops at the end of the block.

    Raises:
        UserError: for what is neither a run nor a classifier, or a port that is in use.
    """
    import torch

    from likewise.commands.classified import encoder_of_classifier, open_classifier
    from likewise.commands.options import as_run
    from likewise.evaluation.embedding_file import StoredEmbeddings
    from likewise.evaluation.inputs import ComputeSettings
    from likewise.runs.classifier import Classifier
    from likewise.serving.model import served_model
    from likewise.serving.service import LOCAL, Service
    from likewise.training.machine import device_name

    check_int(0, HIGHEST_PORT, port=port)
    check_int(queue=queue, batch_size=batch_size, max_megabytes=max_megabytes)
    is_classifier = isinstance(model, Classifier) or (
        isinstance(model, (str, Path)) and (Path(model).expanduser() / Classifier.FILE).is_file()
    )
    if is_classifier:
        classifier, its_run = open_classifier(model, run)
    elif run is not None:
        raise UserError(f"--run names the run of a classifier, and {model} is none: leave it out")
    else:
        classifier, its_run = None, as_run(model)
    stored = None
    if collection is not None:
        stored = StoredEmbeddings.open(Path(collection)) if str(collection).endswith(".parquet") else None
        if stored is None:
            raise UserError(
                f"collection must be a .parquet file of embeddings, got {collection}: `likewise embed` writes one"
            )
    fine_tuned = None
    if classifier is not None and classifier.is_fine_tuned:
        if stored is not None:
            raise UserError(
                f"collection holds embeddings of the run's encoder, and {classifier.path} has one of its own: "
                "serve the run to search"
            )
        fine_tuned = encoder_of_classifier(classifier, its_run, its_run.views)[0]
    compute = ComputeSettings(torch.device(device_name()), batch_size, channels_last=True)
    served = served_model(its_run, classifier, stored, compute=compute, fine_tuned=fine_tuned)
    token = os.environ.get(TOKEN) or None
    service = Service(served, host=host, port=port, room=queue, most_bytes=max_megabytes * 10**6, token=token)
    if host not in LOCAL:
        open_to = "who bears the token" if token else f"whoever reaches this machine: {TOKEN} asks for a token"
        tell(f"{service.address} answers {open_to}")
    return service
