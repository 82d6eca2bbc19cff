"""One session as a token sequence: what is perceived and typed in each micro-turn, and what the model should put out.

`Partner` is the behaviour to be learnt, written as rules over things that only the generator knows (when a repetition
really ended, when a person really began to speak). The model never sees it: it has to find the same from tokens.
"""

import random
from bisect import bisect_right
from dataclasses import dataclass, field

import numpy as np
import words
from tokenizers import Tokenizer

AUDIO, VIDEO, TOLD, CLOCK, SAID = range(5)
SLOTS, SLOT_AUDIO, SLOT_VIDEO, SLOT_TOLD, SLOT_CLOCK, SLOT_SAID = 64, 0, 4, 16, 40, 41
PAD, NEXT, YIELD, TYPED = 0, 1, 2, 3
MAX_TOLD, MAX_SAID = 24, 16
WITHHELD = (1, 1, 2, 2, 3, 4, 6, 9)  # micro-turns for which a due number is kept back
EARLY = (0.0, 0.12, 0.05)  # how often a number is said so many micro-turns before it is due: then nothing is owed when it is
REP_DELAY_S = 0.15  # a number is due this long after the completion: what the eye needs to be sure
SPEECH_DELAY_S = 0.12  # and giving way this long after the person's first sound
WAITS = (1, 2, 3, 4, 5, 7, 10, 15, 25, 50, 100)  # micro-turns until a reminder, in classes that end before these; one more beyond them, one without reminder


class Codec:
    def __init__(self, path: str):
        self.tokenizer = Tokenizer.from_file(path)
        self.known: dict[str, list[int]] = {}

    def ids(self, text: str) -> list[int]:
        if text not in self.known:
            if len(self.known) > 20000:
                self.known.clear()
            self.known[text] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return self.known[text]


@dataclass
class Sample:
    """One token sequence with its targets; the arrays are what `train.py` batches."""

    kind: list = field(default_factory=list)
    ident: list = field(default_factory=list)  # text id; clock tick; index of the audio frame or of tile and pair
    pos: list = field(default_factory=list)
    target: list = field(default_factory=list)  # -1: nothing is asked here
    weight: list = field(default_factory=list)
    given: list = field(default_factory=list)  # True: that something is said is given, only what is asked
    turn: list = field(default_factory=list)  # row of the per-turn labels, for clock tokens; else -1
    wait: list = field(default_factory=list)  # for clock tokens: class of WAITS until the reminder is due; else -1
    count: list = field(default_factory=list)  # for clock tokens: where a running count stands, 0-199; else -1
    levels: np.ndarray | None = None  # (4 turns, 80) u8
    luma: np.ndarray | None = None  # (2 film micro-turns, h, w) u8
    pairs: np.ndarray | None = None  # (turns) which frame pairs of luma are perceived, in order
    labels: dict = field(default_factory=dict)  # per turn, for the auxiliary heads

    def add(self, kind, ident, pos, target=-1, weight=0.0, given=False, turn=-1, wait=-1, count=-1):
        self.kind.append(kind)
        self.ident.append(ident)
        self.pos.append(pos)
        self.target.append(target)
        self.weight.append(weight)
        self.given.append(given)
        self.turn.append(turn)
        self.wait.append(wait)
        self.count.append(count)


class Partner:
    """The behaviour: reacts to typed texts, repetitions, time and speech, one micro-turn after the other."""

    def __init__(self, codec: Codec):
        self.codec = codec
        self.counting = False
        self.count = 0
        self.reminder: tuple[list[int], int, int] | None = None  # phrase, period and due, in micro-turns
        self.story: list[list[int]] = []
        self.story_due = 0

    def hear(self, turn: int, intent: str, detail) -> list[int]:
        """A typed text takes effect; the tokens of the answer."""
        say = self.codec.ids
        match intent:
            case "count":
                self.counting, self.count = True, 0
                return say("okay")
            case "start over":
                self.count = 0
                return say("starting over")
            case "set":
                self.counting, self.count = True, detail
                return say(str(detail))
            case "how many":
                return say(str(self.count))
            case "how long":
                return say(words.how_long_answer((turn + 1) // 5))
            case "remind":
                phrase, seconds = detail
                self.reminder = (say(phrase), seconds * 5, turn + seconds * 5)
                return say("okay")
            case "stop counting":
                self.counting = False
                return say("okay")
            case "stop reminding":
                self.reminder = None
                return say("okay")
            case "stop":
                self.counting, self.reminder, self.story = False, None, []
                return say("okay")
            case "explain":
                self.story = [say(w) for w in words.STORIES[detail].split()]
                self.story_due = turn
                return []
            case "small talk":
                return say(words.GREET[detail])
            case "other":
                return say(words.CANNOT)
            case "sensor":
                return []
            case _:
                raise ValueError(intent)

    def due(self, turn: int) -> tuple[list[int], list[int]]:
        """What time brings in this micro-turn: the tokens of a reminder and of a story's next word."""
        reminder, word = [], []
        if self.reminder and turn >= self.reminder[2]:
            phrase, period, at = self.reminder
            reminder, self.reminder = phrase, (phrase, period, at + period)
        if self.story and turn >= self.story_due:
            word, self.story_due = self.story.pop(0), turn + 2
        return reminder, word


class Writer:
    """Writes a session down, token by token, while `Partner` acts in it."""

    def __init__(self, codec: Codec, rng: random.Random, first_turn: int, turns_with_video=0, turns_with_audio=0, tiles=1):
        self.codec, self.rng, self.partner = codec, rng, Partner(codec)
        self.first, self.video, self.audio, self.tiles = first_turn, turns_with_video, turns_with_audio, tiles
        self.out = Sample()
        self.withheld = 0  # micro-turns for which a due number is not said, to teach catching up
        self.withheld_yield = 0
        self.owed: list[int] = []
        self.owed_yield = False
        self.said_early = False

    def turn(self, row: int, texts, next_rep: int | None = None, speech=False, seen=True, free=False, film_row: int | None = None):
        """Micro-turn `row` of the sample. texts: (words, intent, detail). next_rep: micro-turns until a repetition is due, 0 for now, None beyond
        len(EARLY). seen: a repetition shows in the video. free: nothing is asked.

        film_row: which micro-turn of the film and of the sound is perceived, where this is not `row`."""
        turn, out, partner = self.first + row, self.out, self.partner
        base = turn * SLOTS
        film_row = row if film_row is None else film_row
        if 0 <= film_row < self.audio:
            for i in range(4):
                out.add(AUDIO, film_row * 4 + i, base + SLOT_AUDIO + i)
        if 0 <= film_row < self.video:
            for i in range(self.tiles):
                out.add(VIDEO, film_row * self.tiles + i, base + SLOT_VIDEO + i)
        answer: list[int] = []
        slot = SLOT_TOLD
        for text, intent, detail in texts:
            for ident in [TYPED, *self.codec.ids(text)][: MAX_TOLD + SLOT_TOLD - slot]:
                out.add(TOLD, ident, base + slot)
                slot += 1
            answer += partner.hear(turn, intent, detail)
            if intent in ("stop", "stop counting", "start over", "count", "set"):
                self.owed = []
        if not partner.story:
            self.owed_yield = False
        wait = bisect_right(WAITS, max(0, partner.reminder[2] - turn)) if partner.reminder else len(WAITS) + 1
        reminder, word = partner.due(turn)
        yields = False
        if partner.story and (speech or self.owed_yield):
            if not self.owed_yield and not answer and not reminder and self.rng.random() < 0.3:
                self.withheld_yield = self.rng.randint(1, 3)
            self.owed_yield, yields = True, True
        rep = next_rep == 0
        if rep and self.said_early:
            self.said_early = False
        elif rep and partner.counting:
            partner.count += 1
            if self.owed:  # the next repetition came before the last was said: that one is lost for good
                partner.count -= 1
            self.owed = self.codec.ids(str(partner.count))
            if seen and self.rng.random() < 0.3:
                self.withheld = self.rng.choice(WITHHELD)
        standing = partner.count - bool(self.owed)
        ideal = ([YIELD] if yields else []) + answer + self.owed + reminder + ([] if yields else word)
        actual = ideal
        if self.owed and self.withheld and ideal == self.owed:
            self.withheld -= 1
            actual = []
        elif yields and self.withheld_yield and ideal == [YIELD]:
            # not given way yet: the story goes on for a word or two
            self.withheld_yield -= 1
            actual = word
        else:
            self.owed, self.withheld = [], 0
            if yields:
                self.owed_yield, self.withheld_yield = False, 0
                partner.story = []
        ideal, actual = ideal[:MAX_SAID], actual[:MAX_SAID]
        given = bool(rep and not seen and actual and not texts and not reminder)
        wild = False
        if seen and not ideal and partner.counting and not free and not self.said_early:
            self.said_early = next_rep is not None and self.rng.random() < EARLY[next_rep]
            wild = self.said_early or next_rep is None and self.rng.random() < 0.006
        if wild:  # a number said too early, or for nothing: the count goes on from it
            partner.count += 1
            actual = self.codec.ids(str(partner.count))
        ask = 0.0 if free or wild or (rep and not seen and not given and not texts) else 1.0
        out.add(CLOCK, turn + 1, base + SLOT_CLOCK, ideal[0] if ideal else NEXT, ask, given, film_row, wait, standing if partner.counting and 0 <= standing < 200 else -1)
        followed = actual == ideal
        for i, ident in enumerate(actual):
            after = actual[i + 1] if i + 1 < len(actual) else NEXT
            closes = i + 1 == MAX_SAID
            out.add(SAID, ident, base + SLOT_SAID + i, -1 if closes or not followed and not wild else after, 0.0 if wild else 1.0)

    def pass_over(self, row: int) -> None:
        """Micro-turn `row` of the sample is left out: what time brought in it has been said, and nothing is perceived or asked."""
        reminder, _ = self.partner.due(self.first + row)
        for i, ident in enumerate(reminder[:MAX_SAID]):
            self.out.add(SAID, ident, (self.first + row) * SLOTS + SLOT_SAID + i)
