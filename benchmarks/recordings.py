"""The language of spoken prompts, from few labelled clips.

    python -m benchmarks.recordings [--data FOLDER] [--methods cola wav2vec2] [--epochs N] [--seeds 5]

Without --data: the prompts of Debian's `asterisk-core-sounds-en-wav`, `-fr-wav` and `-ru-wav`, one voice a language:
what is told apart is voice and language together. A fifth of each class is held out; the encoder never sees it. Frozen
and fine-tuned encoders are judged beside log-mel statistics with logistic regression and beside the same encoder
untrained, with 1, 5 and 20 labelled clips a class; and by whether the end of a recording is found by its beginning.
"""

from __future__ import annotations

from pathlib import Path

import likewise
from benchmarks.proof import PROTOCOLS, options, results, show, trained, workplace

SOUNDS = Path("/usr/share/asterisk/sounds")
VOICES = {"en": "en_US_f_Allison", "fr": "fr_CA_f_June", "ru": "ru_RU_f_IvrvoiceRU"}


def main() -> None:
    parser = options(__doc__.splitlines()[0], "a folder with a subfolder for each class (Asterisk's prompts)")
    parser.set_defaults(seeds=5)
    arguments = parser.parse_args()
    more = {} if arguments.epochs is None else {"epochs": arguments.epochs}
    with workplace() as folder, results(arguments.json) as kept:
        data = arguments.data or folder / "prompts"
        if arguments.data is None:
            data.mkdir()
            for language, voice in VOICES.items():
                (data / language).symlink_to(SOUNDS / voice)
        for method in arguments.methods or ("cola", "wav2vec2"):
            run = trained(f"{data}:train", method, folder, **more)
            kept[method] = likewise.evaluate(
                run, labels_per_class=(1, 5, 20), seeds=arguments.seeds, protocols=PROTOCOLS, progress=False
            )
            show(kept[method])


if __name__ == "__main__":
    main()
