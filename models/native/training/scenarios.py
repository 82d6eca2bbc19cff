"""Sessions as token sequences: what is perceived and typed in each micro-turn, and what the model should put out.

`Partner` is the behaviour to be learnt, written as rules over things that only the generator knows (when a repetition
really ended, when a person really began to speak). The model never sees it: it has to find the same from tokens.
"""

import random
from dataclasses import dataclass, field

import numpy as np
import words
from tokenizers import Tokenizer

AUDIO, VIDEO, TOLD, CLOCK, SAID = range(5)
SLOTS, SLOT_AUDIO, SLOT_VIDEO, SLOT_TOLD, SLOT_CLOCK, SLOT_SAID = 64, 0, 4, 16, 40, 41
PAD, NEXT, YIELD, TYPED = 0, 1, 2, 3
MAX_TOLD, MAX_SAID = 24, 16
REP_DELAY_S = 0.15  # a number is due this long after the completion: what the eye needs to be sure
SPEECH_DELAY_S = 0.12  # and giving way this long after the person's first sound


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
    levels: np.ndarray | None = None  # (4 turns, 80) u8
    luma: np.ndarray | None = None  # (2 turns, h, w) u8
    labels: dict = field(default_factory=dict)  # per turn, for the auxiliary heads

    def add(self, kind, ident, pos, target=-1, weight=0.0, given=False, turn=-1):
        self.kind.append(kind)
        self.ident.append(ident)
        self.pos.append(pos)
        self.target.append(target)
        self.weight.append(weight)
        self.given.append(given)
        self.turn.append(turn)


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

    def turn(self, row: int, texts, rep=False, speech=False, seen=True, free=False):
        """Micro-turn `row` of the sample. texts: (words, intent, detail). seen: a repetition shows in the video. free: nothing is asked."""
        turn, out, partner = self.first + row, self.out, self.partner
        base = turn * SLOTS
        if 0 <= row < self.audio:
            for i in range(4):
                out.add(AUDIO, row * 4 + i, base + SLOT_AUDIO + i)
        if 0 <= row < self.video:
            for i in range(self.tiles):
                out.add(VIDEO, row * self.tiles + i, base + SLOT_VIDEO + i)
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
        reminder, word = partner.due(turn)
        yields = False
        if partner.story and (speech or self.owed_yield):
            if not self.owed_yield and not answer and not reminder and self.rng.random() < 0.3:
                self.withheld_yield = self.rng.randint(1, 3)
            self.owed_yield, yields = True, True
        if rep and partner.counting:
            partner.count += 1
            if self.owed:  # the next repetition came before the last was said: that one is lost for good
                partner.count -= 1
            self.owed = self.codec.ids(str(partner.count))
            if seen and self.rng.random() < 0.3:
                self.withheld = self.rng.randint(1, 3)
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
        if seen and not ideal and partner.counting and not free and self.rng.random() < 0.006:
            partner.count += 1  # a number said for nothing: the count goes on from it
            actual, wild = self.codec.ids(str(partner.count)), True
        ask = 0.0 if free or wild or (rep and not seen and not given and not texts) else 1.0
        out.add(CLOCK, turn + 1, base + SLOT_CLOCK, ideal[0] if ideal else NEXT, ask, given, row)
        followed = actual == ideal
        for i, ident in enumerate(actual):
            after = actual[i + 1] if i + 1 < len(actual) else NEXT
            closes = i + 1 == MAX_SAID
            out.add(SAID, ident, base + SLOT_SAID + i, -1 if closes or not followed and not wild else after, 0.0 if wild else 1.0)


def typed(rng: random.Random, intent: str, detail=None, family=None):
    """One typed text with the given intent: (words, intent, detail)."""
    x = words.exercise_words(rng, family)
    match intent:
        case "count":
            text = rng.choice(words.COUNT).format(x=x)
        case "start over":
            text = rng.choice(words.START_OVER)
        case "set":
            detail = rng.randint(0, 199) if rng.random() < 0.3 else rng.randint(1, 40)
            text = rng.choice(words.SET_COUNT).format(n=detail)
        case "how many":
            text = rng.choice(words.HOW_MANY).format(x=x)
        case "how long":
            text = rng.choice(words.HOW_LONG)
        case "remind":
            detail = detail or (words.phrase(rng), rng.randint(2, 30) if rng.random() < 0.75 else rng.randint(2, 10))
            text = rng.choice(words.REMIND).format(p=detail[0], n=detail[1])
        case "stop counting":
            text = rng.choice(words.STOP_COUNT).format(x=x)
        case "stop reminding":
            text = rng.choice(words.STOP_REMIND)
        case "stop":
            text = rng.choice(words.STOP_ALL)
        case "explain":
            detail = detail or rng.choice(list(words.STORIES))
            name = rng.choice(words.EXERCISES[detail])
            text = rng.choice(words.EXPLAIN).format(x=name, x1=detail)
        case "small talk":
            detail = rng.choice(list(words.GREET))
            return (detail, intent, detail)
        case "other":
            return (rng.choice(words.OTHER).format(w=rng.choice(words.NAMES)), intent, None)
        case _:
            raise ValueError(intent)
    return (words.variation(rng, text), intent, detail)


def first_turn(rng: random.Random) -> int:
    """Where in a session a sample begins: often at its start, else anywhere in its first hours."""
    roll = rng.random()
    return 0 if roll < 0.3 else rng.randrange(0, 400) if roll < 0.6 else rng.randrange(0, 30000)


def text_sample(codec: Codec, rng: random.Random, turns: int = 220) -> Sample:
    """A session without camera and microphone: instructions, questions, reminders, stories and counts that last."""
    writer = Writer(codec, rng, first_turn(rng))
    partner = writer.partner
    row = 0
    rep_period = rng.choice([2, 3, 5, 8, 15])
    favourite = rng.choices(["remind", "count", "explain", "mixed"], [0.4, 0.3, 0.1, 0.2])[0]
    pending = [typed(rng, {"mixed": rng.choice(["remind", "count"])}.get(favourite, favourite))]
    if favourite == "mixed":
        pending.append(typed(rng, rng.choice(["remind", "count"])))
    rest = rng.choice([0.01, 0.02, 0.05])
    if rng.random() < 0.3:
        pending.append(typed(rng, "set"))
    steps = 0
    while steps < turns:
        texts = []
        roll = rng.random()
        if pending and roll < 0.3:
            texts.append(pending.pop(0))
        elif roll < rest:
            weights = {
                "how many": 3 if partner.counting or partner.count else 0.3, "how long": 2, "small talk": 0.6, "other": 0.6,
                "start over": 1.5 if partner.counting else 0, "set": 0.7 if partner.counting else 0.2, "count": 0.8, "remind": 1.2,
                "explain": 0.4, "stop": 1.2, "stop counting": 0.7 if partner.counting else 0.05, "stop reminding": 1.0 if partner.reminder else 0.05,
            }
            texts.append(typed(rng, rng.choices(list(weights), list(weights.values()))[0]))
        rep = partner.counting and not texts and rng.random() < 1.0 / rep_period
        wait = (partner.reminder[2] if partner.reminder else 1 << 40) - (writer.first + row)
        if texts or rep or partner.story or wait < 4 or rng.random() < 0.4:
            writer.turn(row, texts, rep=rep, seen=False)
            steps += 1
        # else a micro-turn in which nothing happens is left out: positions say how long it was, and learning is the faster
        row += 1
        # A pause of minutes, skipped: nothing perceived in it would still be in memory. Only where no reminder is running.
        if partner.reminder is None and not partner.story and rng.random() < 0.02:
            row += rng.choice([100, 300, 600, 3000, rng.randrange(90, 4000)])
    return writer.out


def counting_script(rng: random.Random, turns: int, family: str | None) -> dict[int, list]:
    """What is typed during a video: by row."""
    script: dict[int, list] = {}
    roll = rng.random()
    if roll < 0.1:
        if rng.random() < 0.5:
            script[rng.randrange(turns)] = [typed(rng, rng.choice(["remind", "explain", "how long", "stop", "small talk"]))]
        return script
    at = 0 if roll < 0.75 else rng.randrange(turns // 2)
    script[at] = [typed(rng, "count", family=family)]
    if rng.random() < 0.3:
        script.setdefault(rng.randrange(turns), []).append(typed(rng, "remind"))
    if rng.random() < 0.25:
        script.setdefault(rng.randrange(turns), []).append(typed(rng, rng.choice(["how many", "how many", "how long", "set", "other"]), family=family))
    if rng.random() < 0.2:
        script.setdefault(rng.randrange(at, turns), []).append(typed(rng, rng.choice(["start over", "stop", "stop counting"]), family=family))
    return script


def video_sample(codec: Codec, rng: random.Random, scene: dict, levels: np.ndarray | None = None, tiles: int = 1) -> Sample:
    """A session that watches `scene` (see scenes.py), perhaps with sounds that mean nothing to it."""
    turns = len(scene["frames"]) // 2
    writer = Writer(codec, rng, first_turn(rng), turns, turns if levels is not None else 0, tiles)
    reps = {int((t + REP_DELAY_S) / 0.2) for t in scene["rep_end_s"]}
    family = scene["family"] if scene["family"] in words.EXERCISES else None
    script = counting_script(rng, turns, family)
    if rng.random() < 0.35 and 0 in script:
        # the camera comes in when the count already stands somewhere
        writer.partner.counting = True
        texts = script.pop(0)
        earlier = rng.choice([3, 20, 200, 2000])
        writer.first += earlier + 12
        writer.turn(-earlier - 10, texts)
        writer.partner.count = rng.randrange(0, 198) if rng.random() < 0.5 else rng.randrange(0, 20)
        for i in range(2 if writer.partner.count < 198 else 0):
            writer.turn(-earlier - 5 + 2 * i, [], rep=True, seen=False)
    for row in range(turns):
        writer.turn(row, script.get(row, []), rep=row in reps)
    out = writer.out
    out.luma, out.levels = scene["frames"], levels
    pair = slice(1, 2 * turns, 2)
    event = np.zeros(turns, np.float32)
    event[[r for r in reps if r < turns]] = 1
    out.labels = {"event": event, "active": scene["active"][pair], "phase": scene["phase"][pair], "period": scene["period_s"][pair], "pose": scene["pose"][pair]}
    return out


def audio_sample(codec: Codec, rng: random.Random, levels: np.ndarray, speech: list[tuple[float, float]]) -> Sample:
    """A session that explains something aloud (mostly) while sounds come in; it gives way to speech alone."""
    turns = len(levels) // 4
    writer = Writer(codec, rng, first_turn(rng), 0, turns)
    onsets = [int((a + SPEECH_DELAY_S) / 0.2) for a, _ in speech]
    sounding = {k for a, b in speech for k in range(int(a / 0.2), int(b / 0.2) + 2)}
    quiet = [k for k in range(max(1, turns - 10)) if k not in sounding]
    script: dict[int, list] = {}
    if quiet and rng.random() < 0.88:
        before = [k for k in quiet if any(k < o - 1 for o in onsets)] or quiet
        script[rng.choice(before)] = [typed(rng, "explain")]
    elif rng.random() < 0.7:
        script[rng.randrange(turns)] = [typed(rng, rng.choice(["remind", "count", "how long"]))]
    for row in range(turns):
        writer.turn(row, script.get(row, []), speech=row in onsets, seen=False)
    writer.out.levels = levels
    active = np.zeros(turns, np.float32)
    for a, b in speech:
        active[int((a + 0.1) / 0.2) : int(b / 0.2) + 1] = 1
    writer.out.labels = {"speech": active}
    return writer.out
