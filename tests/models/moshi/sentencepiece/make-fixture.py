"""Makes the tokenizers of this folder and what the original library says of them.

    pip install sentencepiece==0.2.3
    python make-fixture.py

The text is our own and the training deterministic. `bytes.model` is like Kyutai's (unigram, bytes for what has no piece, no
rules), `rules.model` has rules that replace characters, a symbol of the user's, and no bytes.
"""

import json
import pathlib
import random

import sentencepiece

FOLDER = pathlib.Path(__file__).parent
SUBJECTS = "the mirror|a robot|my neighbour|the little dog|nobody|une voix|le train|chaque voisin".split("|")
VERBS = "counts|hears|remembers|interrupts|waits for|écoute|regarde|n'oublie pas".split("|")
OBJECTS = "ten push-ups|every word|the 3rd squat|a cup of tea|12 seconds|la musique|l'été|deux chansons".split("|")

TEXTS = [
    "",
    " ",
    "hello",
    "the mirror counts 12 push-ups.",
    "  two   spaces  and an end ",
    "une voix écoute l'été, n'est-ce pas ?",
    "日本 and 🙂 are not in the text",
    "tab\tand\nline",
    "<sep>split<sep> here<sep>",
    "ﬁne ½ ＡＢＣ",
    "straße ÀÉÎ",
    "▁escaped▁",
    "a\u0301 combining",
    "\ufeffmark",
    "x" * 40,
]


def sentences():
    chance = random.Random(7)
    for _ in range(600):
        yield f"{chance.choice(SUBJECTS)} {chance.choice(VERBS)} {chance.choice(OBJECTS)}."


def train(name, **options):
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=sentences(),
        model_prefix=str(FOLDER / name),
        model_type="unigram",
        num_threads=1,
        minloglevel=2,
        **options,
    )
    (FOLDER / f"{name}.vocab").unlink()
    return sentencepiece.SentencePieceProcessor(model_file=str(FOLDER / f"{name}.model"))


def cases(tokenizer):
    chance = random.Random(11)
    drawn = [[chance.randrange(tokenizer.get_piece_size()) for _ in range(12)] for _ in range(40)]
    return {
        "texts": [
            {"text": text, "ids": tokenizer.encode(text), "decoded": tokenizer.decode(tokenizer.encode(text))}
            for text in TEXTS
        ],
        "ids": [{"ids": ids, "decoded": tokenizer.decode(ids)} for ids in drawn],
    }


def main():
    rules = FOLDER / "rules.tsv"
    # One line a rule: code points in hexadecimal, what they become.
    pairs = [("ﬁ", "fi"), ("½", "1/2"), ("\t", " "), ("\n", " "), ("É", "é"), ("À", "à"), ("a\u0301", "á"), ("▁", " ")]
    code_points = lambda text: " ".join(f"{ord(letter):X}" for letter in text)
    rules.write_text("".join(f"{code_points(a)}\t{code_points(b)}\n" for a, b in pairs))
    small = {"pad_id": 3, "unk_id": 0, "bos_id": 1, "eos_id": 2}
    models = {
        "bytes": train(
            "bytes", vocab_size=320, byte_fallback=True, normalization_rule_name="identity",
            remove_extra_whitespaces=False, split_digits=True, **small,
        ),
        "rules": train(
            "rules", vocab_size=70, normalization_rule_tsv=str(rules), user_defined_symbols=["<sep>"], **small,
        ),
    }
    rules.unlink()
    said = {name: cases(tokenizer) for name, tokenizer in models.items()}
    (FOLDER / "cases.json").write_text(json.dumps(said, ensure_ascii=True, indent=1) + "\n")


main()
