"""Scenarios: the sessions that training draws. What a good partner says in them is sequences.py's."""

import random

import numpy as np
import words
from sequences import REP_DELAY_S, SPEECH_DELAY_S, Codec, Sample, Writer


UNKNOWN = 0.6  # share of reminders in text sessions with a word that is made up: to copy letters takes more practice than to copy words


def typed(rng: random.Random, intent: str, detail=None, family=None, unknown=0.2):
    """One typed text with the given intent: (words, intent, detail). unknown: as `words.phrase` has it."""
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
            detail = detail or (words.phrase(rng, unknown), rng.randint(2, 30) if rng.random() < 0.5 else rng.randint(11, 30))
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


def stretch(rng: random.Random) -> int:
    """How many micro-turns are shown in a row where others are left out: 3 to 60, every order of magnitude alike."""
    return int(3 * 20 ** rng.random())


def text_sample(codec: Codec, rng: random.Random, turns: int = 220) -> Sample:
    """A session without camera and microphone: instructions, questions, reminders, stories and counts that last."""
    writer = Writer(codec, rng, first_turn(rng))
    partner = writer.partner
    row = 0
    rep_period = rng.choice([2, 3, 5, 8, 15])
    favourite = rng.choices(["remind", "count", "explain", "mixed"], [0.55, 0.2, 0.08, 0.17])[0]
    pending = [typed(rng, {"mixed": rng.choice(["remind", "count"])}.get(favourite, favourite), unknown=UNKNOWN)]
    if favourite == "mixed":
        pending.append(typed(rng, rng.choice(["remind", "count"]), unknown=UNKNOWN))
    rest = rng.choice([0.01, 0.03, 0.06])
    dense = rng.random() < 0.2
    shown_until, due, lead = 10, -1, 0
    if rng.random() < 0.3:
        pending.append(typed(rng, "set"))
    steps = 0
    while steps < turns:
        texts = []
        roll = rng.random()
        if pending and roll < 0.3:
            texts.append(pending.pop(0))
        elif favourite == "remind" and not partner.reminder and rng.random() < 0.1:
            texts.append(typed(rng, "remind", unknown=UNKNOWN))
        elif roll < rest:
            weights = {
                "how many": 3 if partner.counting or partner.count else 0.3, "how long": 2, "small talk": 0.6, "other": 0.6,
                "start over": 1.5 if partner.counting else 0, "set": 0.7 if partner.counting else 0.2, "count": 0.8, "remind": 1.5 if not partner.reminder else 0.5,
                "explain": 0.4, "stop": 1.5, "stop counting": 1.0 if partner.counting else 0.05, "stop reminding": 1.5 if partner.reminder else 0.05,
            }
            texts.append(typed(rng, rng.choices(list(weights), list(weights.values()))[0], unknown=UNKNOWN))
        rep = partner.counting and not texts and rng.random() < 1.0 / rep_period
        if partner.reminder and partner.reminder[2] - writer.first != due:
            due, lead = partner.reminder[2] - writer.first, stretch(rng)
        if texts or partner.reminder and row >= due - lead or rng.random() < 0.012:
            shown_until = max(shown_until, row + stretch(rng) // 2)
        if dense or texts or rep or partner.story or row <= shown_until:
            writer.turn(row, texts, rep=rep, seen=False)
            steps += 1
        # Else a micro-turn in which nothing happens is left out: positions say how long it was, and learning is the faster.
        # Stretches of any length are shown, with and without something due at their end, so that what is left out tells nothing.
        row += 1
        # A pause of minutes, skipped: nothing perceived in it would still be in memory. Only where no reminder is running.
        if partner.reminder is None and not partner.story and rng.random() < 0.02:
            row += rng.choice([100, 300, 600, 3000, rng.randrange(90, 4000)])
    return writer.out


def camera_script(rng: random.Random, turns: int, family: str | None, quiet: list[int]) -> dict[int, list]:
    """What is typed while the camera watches: by row. quiet: rows in which an explanation may begin, because nobody speaks."""
    script: dict[int, list] = {}

    def at(row: int, intent: str) -> None:
        script.setdefault(row, []).append(typed(rng, intent, family=family))

    counts = rng.random() < 0.9
    start = 0 if rng.random() < 0.75 else rng.randrange(turns // 2)
    if counts:
        at(start, "count")
    for intent, share in (("remind", 0.4), ("how many", 0.2 if counts else 0.05), ("how long", 0.15), ("set", 0.06), ("other", 0.05), ("small talk", 0.05)):
        if rng.random() < share:
            at(rng.randrange(turns), intent)
    if quiet and rng.random() < 0.3:
        at(rng.choice(quiet), "explain")
    if rng.random() < 0.4:
        at(rng.randrange(start, turns), rng.choice(["start over", "stop", "stop", "stop counting", "stop reminding"]))
    return script


def speech_rows(speech: list[tuple[float, float]], turns: int) -> tuple[set[int], list[int], np.ndarray]:
    """Where a person begins to speak (rows), the rows in which an explanation may begin, and 1 for each row with speech (turns)."""
    onsets = [int((a + SPEECH_DELAY_S) / 0.2) for a, _ in speech]
    sounding = {k for a, b in speech for k in range(int(a / 0.2), int(b / 0.2) + 2)}
    quiet = [k for k in range(max(1, turns - 10)) if k not in sounding]
    active = np.zeros(turns, np.float32)
    for a, b in speech:
        active[int((a + 0.1) / 0.2) : int(b / 0.2) + 1] = 1
    return set(onsets), [k for k in quiet if any(k < o - 1 for o in onsets)] or quiet, active


def video_sample(codec: Codec, rng: random.Random, scene: dict, levels: np.ndarray | None = None, speech=(), tiles: int = 1) -> Sample:
    """A session that watches `scene` (see scenes.py), perhaps hears something too, and explains or reminds while it counts."""
    turns = len(scene["frames"]) // 2
    writer = Writer(codec, rng, first_turn(rng), turns, turns if levels is not None else 0, tiles)
    reps = {int((t + REP_DELAY_S) / 0.2) for t in scene["rep_end_s"]}
    family = scene["family"] if scene["family"] in words.EXERCISES else None
    onsets, quiet, speaking = speech_rows(speech, turns)
    script = camera_script(rng, turns, family, quiet)
    if rng.random() < 0.35 and [intent for _, intent, _ in script.get(0, [])] == ["count"]:
        # the camera comes in long after the instruction, and often when the count already stands somewhere
        writer.partner.counting = True
        texts = script.pop(0)
        earlier = int(3 * 2000 ** rng.random())  # up to 20 minutes, every order of magnitude alike
        writer.first += earlier + 12
        writer.turn(-earlier - 10, texts)
        if rng.random() < 0.6:
            writer.partner.count = rng.randrange(0, 197) if rng.random() < 0.5 else rng.randrange(0, 20)
            for i in range(2):
                writer.turn(-earlier - 5 + 2 * i, [], rep=True, seen=False)
    for row in range(turns):
        writer.turn(row, script.get(row, []), rep=row in reps, speech=row in onsets)
    if rng.random() < 0.25:  # the camera has gone: nothing is counted any more
        for row in range(turns, turns + 20):
            writer.turn(row, [typed(rng, "how many")] if rng.random() < 0.02 else [])
    out = writer.out
    out.luma, out.levels = scene["frames"], levels
    pair = slice(1, 2 * turns, 2)
    event = np.zeros(turns, np.float32)
    event[[r for r in reps if r < turns]] = 1
    out.labels = {"event": event, "active": scene["active"][pair], "phase": scene["phase"][pair], "period": scene["period_s"][pair], "pose": scene["pose"][pair]}
    if levels is not None:
        out.labels["speech"] = speaking
    return out


def audio_sample(codec: Codec, rng: random.Random, levels: np.ndarray, speech: list[tuple[float, float]]) -> Sample:
    """A session that explains something aloud (mostly) while sounds come in; it gives way to speech alone."""
    turns = len(levels) // 4
    writer = Writer(codec, rng, first_turn(rng), 0, turns)
    onsets, quiet, speaking = speech_rows(speech, turns)
    script: dict[int, list] = {}
    if quiet and rng.random() < 0.88:
        script[rng.choice(quiet)] = [typed(rng, "explain")]
    elif rng.random() < 0.7:
        script[rng.randrange(turns)] = [typed(rng, rng.choice(["remind", "count", "how long"]))]
    for row in range(turns):
        writer.turn(row, script.get(row, []), speech=row in onsets, seen=False)
    writer.out.levels = levels
    writer.out.labels = {"speech": speaking}
    return writer.out
