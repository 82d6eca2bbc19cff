"""Scenarios: the sessions that training draws. What a good partner says in them is sequences.py's."""

import random
from dataclasses import dataclass

import numpy as np
import words
from sequences import EARLY, REP_DELAY_S, SPEECH_DELAY_S, Codec, Sample, Writer


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
        case "sensor":
            return (words.sensor_line(rng), intent, None)
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
                "how many": 3 if partner.counting or partner.count else 0.3, "how long": 2, "small talk": 0.6, "other": 0.6, "sensor": 0.8,
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
            writer.turn(row, texts, 0 if rep else None, seen=False)
            steps += 1
        # Else a micro-turn in which nothing happens is left out: positions say how long it was, and learning is the faster.
        # Stretches of any length are shown, with and without something due at their end, so that what is left out tells nothing.
        row += 1
        # A pause of minutes, skipped: nothing perceived in it would still be in memory. Only where no reminder is running.
        if partner.reminder is None and not partner.story and rng.random() < 0.02:
            row += rng.choice([100, 300, 600, 3000, rng.randrange(90, 4000)])
    return writer.out


def camera_script(rng: random.Random, turns: int, family: str | None, quiet: list[int], reminds: float) -> dict[int, list]:
    """What is typed while the camera watches: by row. quiet: rows in which an explanation may begin, because nobody speaks. reminds: share with a reminder."""
    script: dict[int, list] = {}

    def at(row: int, intent: str) -> None:
        script.setdefault(row, []).append(typed(rng, intent, family=family))

    counts = rng.random() < 0.9
    start = 0 if rng.random() < 0.75 else rng.randrange(turns // 2)
    if counts:
        at(start, "count")
    for intent, share in (("remind", reminds), ("how many", 0.2 if counts else 0.05), ("how long", 0.15), ("set", 0.06), ("other", 0.05), ("small talk", 0.05), ("sensor", 0.05)):
        if rng.random() < share:
            early = intent == "remind" and rng.random() < 0.5
            at(rng.randrange(turns // 5 if early else turns), intent)
    if quiet and rng.random() < 0.3:
        at(rng.choice(quiet), "explain")
    if rng.random() < 0.4:
        at(rng.randrange(start, turns), rng.choice(["start over", "stop", "stop", "stop counting", "stop reminding"]))
    return script


def next_rep(row: int, reps: set[int]) -> int | None:
    """Micro-turns until one of `reps`, as `Writer.turn` wants it."""
    return next((ahead for ahead in range(len(EARLY)) if row + ahead in reps), None)


def speech_rows(speech: list[tuple[float, float]], turns: int) -> tuple[set[int], list[int], np.ndarray]:
    """Where a person begins to speak (rows), the rows in which an explanation may begin, and 1 for each row with speech (turns)."""
    onsets = [int((a + SPEECH_DELAY_S) / 0.2) for a, _ in speech]
    sounding = {k for a, b in speech for k in range(int(a / 0.2), int(b / 0.2) + 2)}
    quiet = [k for k in range(max(1, turns - 10)) if k not in sounding]
    active = np.zeros(turns, np.float32)
    for a, b in speech:
        active[int((a + 0.1) / 0.2) : int(b / 0.2) + 1] = 1
    return set(onsets), [k for k in quiet if any(k < o - 1 for o in onsets)] or quiet, active


@dataclass
class Pause:
    """A stretch of a session in which the picture stands still, most of it left out of the sample."""

    at: int  # micro-turn of the session with which it begins
    turns: int  # how long it is
    shown: int  # how many of its micro-turns are in the sample


PAUSED = 0.35  # share of the silent sessions before a camera in which the picture stands still for a while
MOST_REMINDERS = 40  # in a pause: what was said before them is hardly remembered
HELD = 80  # micro-turns of stillness that are drawn: after these the background has long become what the camera sees


def with_pause(scene: dict, pause: Pause, rng: random.Random) -> tuple[dict, list[float]]:
    """The scene standing still for up to HELD micro-turns, cut so that with pause.shown of these it is as long as before; where its repetitions end in the session."""
    at, held = pause.at, min(pause.turns, HELD)
    left = len(scene["frames"]) // 2 - pause.shown  # micro-turns of the scene that stay
    noise = np.random.default_rng(rng.randrange(2**32)).normal(0, rng.uniform(0, 4), (6, *scene["frames"].shape[1:]))
    still = np.clip(scene["frames"][2 * at - 1] + noise[[rng.randrange(6) for _ in range(2 * held)]], 0, 255).astype(np.uint8)
    out = {"family": scene["family"], "frames": np.concatenate([scene["frames"][: 2 * at], still, scene["frames"][2 * at : 2 * left]])}
    for name in ("active", "phase", "period_s", "pose"):
        hold = np.repeat(scene[name][2 * at - 1 : 2 * at], 2 * held, 0)
        out[name] = np.concatenate([scene[name][: 2 * at], hold * (name != "active"), scene[name][2 * at : 2 * left]])
    ends = [t if t < at * 0.2 else t + pause.turns * 0.2 for t in scene["rep_end_s"] if t < left * 0.2]
    return out, ends


def live_through(writer: Writer, rng: random.Random, pause: Pause, script: dict[int, list], reps: set[int], turns: int) -> list[tuple[int, int]]:
    """Writes `turns` micro-turns of a session with a pause; which these are, in the session and in the film.

    script: by micro-turn of the sample. Shown of the pause are what is typed, what leads up to some of the reminders, and its beginning and end."""
    begins, ends = pause.at, pause.at + pause.turns
    held = min(pause.turns, HELD)
    typed_at: dict[int, list] = {}
    for i, texts in script.items():
        row = i if i < begins else i - pause.shown + pause.turns if i >= begins + pause.shown else begins + (i - begins) * pause.turns // pause.shown
        typed_at.setdefault(row, []).extend(texts)
    perceived: list[tuple[int, int]] = []
    left, due, lead, shown_until = pause.shown, -1, 0, begins + rng.randint(3, pause.shown // 2)
    for row in range(turns - pause.shown + pause.turns):
        film_row = row
        if begins <= row < ends:
            reminder = writer.partner.reminder
            if reminder and reminder[2] - writer.first != due:
                due = reminder[2] - writer.first
                to_come = 1 + (ends - row) / reminder[1]
                lead = stretch(rng) if rng.random() < left / (8 * to_come) else -1
            leads_up = reminder is not None and lead > 0 and row >= due - lead
            if not left or not (row in typed_at or writer.owed or leads_up or row <= shown_until or ends - row <= left):
                if row in typed_at:  # what there was to show has been shown: it is typed after the pause
                    typed_at.setdefault(ends, []).extend(typed_at.pop(row))
                writer.pass_over(row)
                continue
            left -= 1
            film_row = row if row - begins < held // 2 or pause.turns == held else rng.randrange(begins + held // 2, begins + held)
        elif row >= ends:
            film_row = row - pause.turns + held
        writer.turn(row, typed_at.get(row, []), next_rep(row, reps), film_row=len(perceived))
        perceived.append((row, film_row))
    return perceived


def draw_pause(rng: random.Random, scene: dict) -> Pause:
    """At the beginning, after a repetition, or anywhere; for seconds to 20 minutes, every order of magnitude alike."""
    turns = len(scene["frames"]) // 2
    shown = rng.randint(turns // 4, turns // 2)
    last = turns - shown - 10
    ends = [int(t * 5) + rng.randint(1, 4) for t in scene["rep_end_s"] if t * 5 < last - 4]
    roll = rng.random()
    at = rng.randint(1, 5) if roll < 0.3 else rng.choice(ends) if ends and roll < 0.85 else rng.randint(1, last)
    return Pause(at, int(shown * (6000 / shown) ** rng.random()), shown)


def video_sample(codec: Codec, rng: random.Random, scene: dict, levels: np.ndarray | None = None, speech=(), tiles: int = 1) -> Sample:
    """A session that watches `scene` (see scenes.py), perhaps hears something too, and explains or reminds while it counts."""
    turns = len(scene["frames"]) // 2
    writer = Writer(codec, rng, first_turn(rng), turns, turns if levels is not None else 0, tiles)
    pause = draw_pause(rng, scene) if levels is None and rng.random() < PAUSED else None
    family = scene["family"] if scene["family"] in words.EXERCISES else None
    onsets, quiet, speaking = speech_rows(speech, turns)
    script = camera_script(rng, turns, family, [] if pause else quiet, 0.8 if pause else 0.4)
    ends = scene["rep_end_s"]
    if pause:
        periods = [detail[1] for texts in script.values() for _, intent, detail in texts if intent == "remind"]
        pause.turns = min([pause.turns, *(max(pause.shown, MOST_REMINDERS * 5 * n) for n in periods)])
        scene, ends = with_pause(scene, pause, rng)
    reps = {int((t + REP_DELAY_S) / 0.2) for t in ends}
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
                writer.turn(-earlier - 5 + 2 * i, [], 0, seen=False)
    perceived = [(row, row) for row in range(turns)]
    if pause:
        perceived = live_through(writer, rng, pause, script, reps, turns)
    else:
        for row in range(turns):
            writer.turn(row, script.get(row, []), next_rep(row, reps), speech=row in onsets)
    last = perceived[-1][0]
    if rng.random() < 0.25:  # the camera has gone: nothing is counted any more
        for row in range(last + 1, last + 21):
            writer.turn(row, [typed(rng, "how many")] if rng.random() < 0.02 else [])
    out = writer.out
    out.luma, out.levels = scene["frames"], levels
    out.pairs = np.array([film_row for _, film_row in perceived])
    pair = 2 * out.pairs + 1
    event = np.array([row in reps for row, _ in perceived], np.float32)
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
