"""What people type and what the model says: the language of the training scenarios.

Everything here is data: a user who wants other exercises, phrases or another language edits this file, then runs
`train.py` again. `make_tokenizer` learns the vocabulary from the same phrases.
"""

import random

EXERCISES = {
    "push-up": ["push-ups", "pushups", "push ups", "press-ups"],
    "squat": ["squats", "air squats", "bodyweight squats"],
    "lunge": ["lunges", "forward lunges", "walking lunges"],
    "sit-up": ["sit-ups", "situps", "sit ups", "crunches"],
    "pull-up": ["pull-ups", "pullups", "pull ups", "chin-ups"],
    "jumping jack": ["jumping jacks", "jacks", "star jumps"],
    "bicep curl": ["bicep curls", "biceps curls", "curls", "dumbbell curls"],
    "shoulder press": ["shoulder presses", "overhead presses", "presses"],
    "lateral raise": ["lateral raises", "side raises", "raises"],
    "knee raise": ["high knees", "knee raises", "knee lifts"],
}
ANY = ["reps", "repetitions", "reps", "movements", "exercises", "moves"]

COUNT = [
    "count my {x}", "count my {x} please", "please count my {x}", "can you count my {x}", "could you count my {x}",
    "count the {x}", "count the {x} for me", "count {x}", "count {x} for me", "keep count of my {x}",
    "keep track of my {x}", "i am going to do some {x}, count them", "i will do {x}, please count",
    "count out loud while i do {x}", "count aloud my {x}", "let's do {x}, you count", "time for {x}, count with me",
    "start counting my {x}", "start counting {x}", "i want you to count my {x}", "would you count my {x} out loud",
    "count how many {x} i do", "count along with my {x}", "tell me the number of each of my {x} as i do them",
    "watch me and count my {x}", "count every one of my {x}", "help me count my {x}", "do the counting for my {x}",
    "i'm doing {x} now, count", "{x} next, count them for me", "number my {x} out loud", "count these {x}",
]
HOW_MANY = [
    "how many", "how many?", "how many so far?", "how many did i do?", "how many was that?", "what is my count?",
    "what's the count?", "how many have i done?", "how many reps?", "what number am i at?", "where am i at?",
    "tell me the count", "what's my number?", "how many {x}?", "how many {x} have i done?", "how many {x} so far?",
]
START_OVER = [
    "start over", "start again", "reset", "reset the count", "start from zero", "from the top", "begin again",
    "back to zero", "restart", "restart the count", "let's start over", "start over please", "count from the beginning",
]
STOP_ALL = ["stop", "stop please", "please stop", "stop it", "stop now", "that's enough", "enough", "be quiet", "quiet", "stop everything", "stop talking"]
STOP_COUNT = ["stop counting", "stop the count", "stop counting please", "no more counting", "don't count anymore", "you can stop counting", "stop counting my {x}"]
STOP_REMIND = ["stop reminding me", "stop the reminders", "no more reminders", "cancel the reminder", "stop reminding me please", "you can stop reminding me", "cancel reminders"]
SET_COUNT = ["i am at {n}", "i'm at {n}", "that was {n}", "that was number {n}", "continue from {n}", "make it {n}", "no, that was {n}", "it should be {n}", "go on from {n}", "set the count to {n}"]
REMIND = [
    "remind me to {p} every {n} seconds", "please remind me to {p} every {n} seconds", "every {n} seconds remind me to {p}",
    "say {p} every {n} seconds", "tell me to {p} every {n} seconds", "every {n} seconds say {p}", "every {n} seconds tell me to {p}",
    "can you remind me to {p} every {n} seconds", "remind me every {n} seconds to {p}", "i want to hear {p} every {n} seconds",
    "remind me to {p} every {n} seconds until i tell you to stop", "remind me to {p} every {n} seconds until i say stop",
    "say {p} every {n} seconds please", "repeat {p} every {n} seconds", "could you say {p} every {n} seconds", "remind me to {p} each {n} seconds",
    "remind me to {p} every {n} s", "call out {p} every {n} seconds", "keep saying {p} every {n} seconds", "tell me every {n} seconds to {p}",
]
HOW_LONG = [
    "how long have i been going?", "how long have i been going", "how long has it been?", "how long was that?", "how much time has passed?",
    "what's the time?", "how long so far?", "how long have we been going?", "how long have i been at it?", "tell me the time", "how long is this session?",
    "how long have i been exercising?", "what is the elapsed time?", "time check", "how long have i been training?",
]
EXPLAIN = [
    "tell me how to do {x}", "explain {x}", "how do i do {x}?", "how do i do {x} right?", "tell me about {x}", "what is the right form for {x}?", "teach me {x}",
    "explain how to do {x}", "give me tips for {x}", "talk me through {x}", "describe {x}", "tell me how to do a {x1}", "how do i do a {x1}?", "explain the {x1}",
]
GREET = {"hello": "hello", "hi": "hello", "hey": "hello", "hello there": "hello", "good morning": "hello", "good evening": "hello",
         "thanks": "you are welcome", "thank you": "you are welcome", "thanks a lot": "you are welcome",
         "bye": "goodbye", "goodbye": "goodbye", "see you": "goodbye",
         "what can you do?": "i can count, keep time and explain exercises", "who are you?": "i am your training partner",
         "help": "i can count, keep time and explain exercises", "what are you?": "i am your training partner"}
OTHER = ["what is the capital of {w}?", "tell me a joke about {w}", "book a table for {w}", "who won the {w} game?", "play some {w}", "what's the weather in {w}?",
         "write an email to {w}", "translate {w}", "buy {w}", "turn on the {w}", "why is the {w} blue?", "what is {w}?", "open the {w}", "send {w} a message", "call {w}"]
CANNOT = "i cannot do that yet"

STORIES = {
    "push-up": "put your hands under your shoulders and keep your body in one straight line. bend your elbows and lower your chest until it is close to the floor. keep your hips level. then press the floor away until your arms are straight and breathe out on the way up.",
    "squat": "stand with your feet as wide as your shoulders and turn your toes out a little. send your hips back as if you sit on a chair and bend your knees. keep your heels down and your chest up. go as low as you can, then drive up through your feet.",
    "lunge": "stand tall and take a long step forward. lower your back knee until it almost touches the floor and keep your front knee over your foot. hold your chest up. push off with the front foot, come back to the start, and change the leg.",
    "sit-up": "lie on your back with your knees bent and your feet flat on the floor. cross your arms on your chest. roll up slowly, one bone at a time, until your chest is near your knees. then go down with control and breathe in.",
    "pull-up": "hang from the bar with your hands a little wider than your shoulders. pull your shoulder blades down and lead with your chest. pull until your chin is over the bar. then go down slowly until your arms are straight and do not swing.",
    "jumping jack": "stand with your feet together and your arms at your sides. jump and spread your feet while your arms swing up over your head. land softly on your toes. jump again to bring your feet together and your arms down, and keep a steady beat.",
    "bicep curl": "stand tall with a weight in each hand and your elbows close to your body. bend your elbows and lift the weights to your shoulders without swinging. squeeze for a moment at the top. then lower the weights slowly until your arms are long.",
    "shoulder press": "hold the weights at your shoulders with your palms forward. make your belly tight and press the weights up until your arms are straight over your head. do not lean back. then lower them slowly to your shoulders and breathe in.",
    "lateral raise": "hold the weights at your sides with your elbows a little bent. lift your arms out to the side until your hands are as high as your shoulders. keep your neck long and your shoulders down. then lower the weights slowly without dropping them.",
    "knee raise": "stand tall and run on the spot. lift one knee as high as your hips, then the other, and let your arms swing with your legs. stay light on your toes. keep your chest up and breathe in a steady beat.",
}

PHRASES = [
    "breathe", "breathe in", "breathe out", "breathe in and out", "drink water", "drink some water", "drink", "sit up straight", "stand up", "relax",
    "relax your shoulders", "keep going", "keep your back straight", "slow down", "speed up", "look up", "look ahead", "smile", "stretch", "switch sides",
    "change legs", "change hands", "rest", "blink", "check your form", "hold it", "push", "go", "now", "next", "tick", "time", "almost there", "good job",
    "well done", "stay low", "chin up", "elbows in", "knees out", "heels down", "engage your core", "tighten your belly", "count to ten", "take a step",
    "turn around", "swap", "jump", "reach higher", "eyes up", "hands down", "move", "focus", "take a breath", "deep breath", "shake it out", "hydrate",
]
PHRASE_WORDS = """take a the your my one two up down left right in out on off and then to of for with more less now again high low fast slow hand hands foot feet leg legs arm arms
knee knees hip hips back neck head eyes face chest core belly shoulder shoulders heel toe toes step steps breath breaths pill pills phone door dog cat window oven timer pan soup tea
coffee egg eggs rice bread plant plants baby mail lights music weight weights bar ball rope mat chair wall floor sky road team coach partner water milk juice snack lunch check look
turn move walk run jump swing lift drop press pull push twist bend reach hold grip squeeze open close feed stir flip call text write read sing clap wave nod smile laugh think listen
watch wait rest stay keep let make get put set switch change swap bring give show tell ask say try start finish repeat follow lead catch throw kick roll rock shake tap point""".split()
NAMES = "france spain music dinner pizza football rain london the door my mother the lamp water a taxi the news the sky paris the kitchen physics gold snow berlin a cat bread".split()

SENSORS = "range distance tilt battery temperature bumper button switch door light speed turn voltage current heading roll pitch yaw pressure humidity pulse heart_rate left right imu gyro weight level".split()

NUMBERS = [str(n) for n in range(200)]


def duration_words(total_seconds: int) -> str:
    """Elapsed whole seconds as it is said: `1 minute 23 seconds`."""
    h, m, s = total_seconds // 3600, total_seconds // 60 % 60, total_seconds % 60
    parts = []
    for value, unit in ((h, "hour"), (m, "minute"), (s, "second")):
        if value or (unit == "second" and not parts):
            parts.append(f"{value} {unit}" + ("" if value == 1 else "s"))
    return " ".join(parts)


def how_long_answer(total_seconds: int) -> str:
    return "you have been going for " + duration_words(total_seconds)


def exercise_words(rng: random.Random, family: str | None = None) -> str:
    if family is None and rng.random() < 0.35:
        return rng.choice(ANY)
    return rng.choice(EXERCISES.get(family) or EXERCISES[rng.choice(list(EXERCISES))])


def variation(rng: random.Random, text: str) -> str:
    """The ways in which people type the same thing: politeness, punctuation, a hesitation."""
    roll = rng.random()
    if roll < 0.1:
        text = rng.choice(["hey, ", "ok, ", "okay ", "hi, ", "now ", "please ", "alright, ", "so ", "um, "]) + text
    if rng.random() < 0.08:
        text += rng.choice([" please", " now", " for me", " ok?", " thanks"])
    if rng.random() < 0.2 and text[-1].isalnum():
        text += rng.choice([".", "!", "?"])
    elif rng.random() < 0.3:
        text = text.rstrip("?.!")
    return text


def sensor_line(rng: random.Random) -> str:
    """A line of a board on the serial port, as `range 2.5`: nothing that asks for an answer."""
    name = rng.choice(SENSORS) if rng.random() < 0.7 else made_up(rng)
    values = [str(rng.randint(-5, 199)) if rng.random() < 0.4 else f"{rng.uniform(-20, 200):.{rng.randint(1, 2)}f}" for _ in range(rng.choice([1, 1, 1, 2, 3]))]
    return " ".join([name, *values]) if rng.random() < 0.8 else f"{name} {rng.choice(['on', 'off', 'ok', 'up', 'down', 'open', 'closed', 'low', 'high'])}"


def made_up(rng: random.Random) -> str:
    """A word that nobody has foreseen, of 3 to 6 letters."""
    return "".join(rng.choice("aeiou" if i % 2 else "bcdfghklmnprstvwz") for i in range(rng.randint(3, 6)))


def phrase(rng: random.Random, unknown: float = 0.2) -> str:
    """What somebody wants to be told. unknown: the share of phrases with a word that is made up, at most 0.7."""
    roll = rng.random()
    if roll < 0.3:
        return rng.choice(PHRASES)
    words = [rng.choice(PHRASE_WORDS) for _ in range(rng.randint(1, 4))]
    if roll > 1 - unknown:  # a word nobody has foreseen: copying must not depend on knowing it
        words[rng.randrange(len(words))] = made_up(rng)
    return " ".join(words)


def corpus(seed: int = 0, lines: int = 30000):
    """Sentences from which the vocabulary is learnt."""
    rng = random.Random(seed)
    for _ in range(lines):
        x = exercise_words(rng)
        yield variation(rng, rng.choice(COUNT + EXPLAIN + HOW_MANY + STOP_COUNT).format(x=x, x1=x.rstrip("s")))
        yield variation(rng, rng.choice(REMIND).format(p=phrase(rng), n=rng.choice(NUMBERS)))
        yield variation(rng, rng.choice(HOW_LONG + START_OVER + STOP_ALL + STOP_REMIND + SET_COUNT).format(n=rng.choice(NUMBERS)))
        yield how_long_answer(rng.randrange(8000))
        yield rng.choice(OTHER).format(w=rng.choice(NAMES))
    for story in STORIES.values():
        for _ in range(300):
            yield story
    for text, answer in GREET.items():
        for _ in range(60):
            yield text
            yield answer
    for word in PHRASE_WORDS:
        for _ in range(60):
            yield word
    yield from [CANNOT, "okay", "starting over"] * 200


def make_tokenizer(path: str, vocab_size: int = 1024) -> None:
    """Byte-pair vocabulary: lower case, `▁` before every word, each number 0-199 one token, bytes as a fallback."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    specials = ["<pad>", "<next>", "<yield>", "<typed>"]
    bytes_ = [f"<0x{b:02X}>" for b in range(256)]
    learner = Tokenizer(models.BPE())
    learner.normalizer = normalizers.Lowercase()
    learner.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    # digits are kept out of what is learnt; their tokens are added below, so that none is missing
    trainer = trainers.BpeTrainer(vocab_size=vocab_size - len(specials) - 256 - 100 - 110, initial_alphabet=list("abcdefghijklmnopqrstuvwxyz0123456789'.,?!-▁:"), show_progress=False)
    learner.train_from_iterator(("".join(c for c in line if not c.isdigit()) for line in corpus()), trainer)
    import json

    learnt = json.loads(learner.to_str())["model"]
    tokens = list(learnt["vocab"])
    merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in learnt["merges"]]
    number_merges = [("▁", str(d)) for d in range(10)]
    number_merges += [(f"▁{a}", str(b)) for a in range(1, 10) for b in range(10)]
    number_merges += [(f"▁1{a}", str(b)) for a in range(10) for b in range(10)]
    vocab = {}
    for token in specials + bytes_ + tokens + [a + b for a, b in number_merges]:
        vocab.setdefault(token, len(vocab))
    while len(vocab) < vocab_size:
        vocab[f"<spare{len(vocab)}>"] = len(vocab)
    assert len(vocab) == vocab_size, len(vocab)
    made = Tokenizer(models.BPE(vocab=vocab, merges=number_merges + merges, byte_fallback=True, unk_token=None))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    made.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(replacement="▁", prepend_scheme="always")])
    made.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in specials])
    made.save(path)


if __name__ == "__main__":
    import sys

    make_tokenizer(sys.argv[1])
