"""The bank of generated speech: texts from a small grammar, spoken by text-to-speech programs and revoiced.

Needs espeak-ng, flite and festival on the PATH; a missing one is left out, as long as one is there.
"""

import io
import shutil
import subprocess
import tempfile
import wave
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

from sounds_bank import SAMPLE_RATE_HZ, energy_bounds, save_bank

WORDS = (
    "stop wait no hey yes okay go on off up down left right hold one two three four five six seven eight nine ten zero "
    "eleven twelve twenty thirty hundred start again pause quiet enough sorry hello listen look please what why who how "
    "cancel done now well actually hmm right sure really never maybe later first last"
).split()
COMMANDS = (
    "hold on|hang on|wait a second|wait a minute|stop it|stop counting|stop please|no no no|not that one|be quiet|shut up|"
    "excuse me|hey there|go on|go back|go forward|start over|say that again|what was that|how many|how many was that|"
    "that is enough|okay thanks|thank you|never mind|let me think|one moment|can you stop|please wait|I have a question|"
    "that's wrong|it was six|no it was seven|slow down|a bit louder|turn it off|turn left|what time is it|are you there|"
    "hey can I ask something|how long have I been going|count my push ups|remind me to breathe|I need a break|all right|"
    "hello how are you|wait wait wait|okay stop now|yes please|no thanks|not now|I said stop|just a second"
).split("|")
SUBJECTS = (
    "I|we|you|they|the dog|my brother|the old woman|a young man|the teacher|her friend|the boat|every child|the wind|our train|"
    "this machine|the other player|nobody|your neighbour|the small bird|doctor Jones|some people|a quick fox|the king"
).split("|")
VERBS = (
    "found|opened|will carry|wanted|never saw|should move|has painted|took away|might break|left behind|cannot remember|"
    "put down|threw|is washing|thought about|asked for|used to like|pushed|has forgotten|fixed|drew|sold|reached for"
).split("|")
OBJECTS = (
    "the glass door|six red boxes|a heavy book|the whole story|his shoes|warm bread|the front window|two cups of tea|"
    "an orange umbrella|the question|that large stone|a piece of string|the yellow paper|their keys|much more time|"
    "the church bell|fresh fish|a joke|the blue ship|every single page|the exercise|my left shoulder|the thick rug"
).split("|")
TAILS = (
    "in the morning|before lunch|near the river|because it was late|under the table|with great care|on the way home|"
    "for no reason|after the rain|and then sat down|at five o'clock|without a sound|while we were waiting|last year|"
    "if you want to|though nobody knew|from the kitchen|as fast as possible|next to the church|but it did not help"
).split("|")
OPENERS = "well|so|and|but|actually|you know|okay|listen|today|sometimes|I think that|she said that|as I told you|yesterday".split("|")
FOREIGN = {
    "de": "halt warte nein ja bitte noch einmal wie viele das ist gut ich habe eine frage moment hör auf weiter schnell jetzt langsam",
    "fr-fr": "arrête attends non oui encore une fois combien merci je ne sais pas bonjour vite maintenant trois quatre doucement",
    "es": "para espera no sí otra vez cuántos gracias un momento ahora despacio quiero hablar contigo mañana tres cuatro",
    "es-419": "basta oye ya no más dime la verdad perro casa mañana amigo siete ocho nueve",
    "it": "ferma aspetta no sì ancora quanti grazie un attimo adesso piano buongiorno la strada lunga sette otto",
    "pt-br": "pare espere não sim de novo quantos obrigado agora devagar bom dia cachorro casa sete oito",
    "nl": "stop wacht nee ja nog een keer hoeveel dank je wel langzaam goedemorgen zeven acht",
    "pl": "stój czekaj nie tak jeszcze raz ile dziękuję teraz powoli dzień dobry siedem osiem",
    "ru": "стой подожди нет да ещё раз сколько спасибо сейчас медленно хорошо вопрос семь восемь",
    "cmn-latn-pinyin": "ting2 deng3 bu4 shi4 zai4 lai2 duo1 shao3 xie4 xie5 xian4 zai4 man4 ni3 hao3 qi1 ba1",
    "hi": "रुको नहीं हाँ फिर से कितने धन्यवाद अब धीरे नमस्ते सात आठ",
    "tr": "dur bekle hayır evet tekrar kaç teşekkürler şimdi yavaş günaydın yedi sekiz",
    "sv": "stopp vänta nej ja en gång till hur många tack nu långsamt sju åtta",
    "el": "σταμάτα περίμενε όχι ναι πάλι πόσα ευχαριστώ τώρα αργά επτά οκτώ",
    "vi": "dừng chờ không vâng lại bao nhiêu cảm ơn bây giờ chậm bảy tám",
    "sw": "simama subiri hapana ndiyo tena ngapi asante sasa polepole saba nane",
    "hu": "állj várj nem igen még egyszer hány köszönöm most lassan hét nyolc",
    "id": "berhenti tunggu tidak ya sekali lagi berapa terima kasih sekarang pelan tujuh delapan",
    "ja": "とまれ まって いいえ はい もういちど いくつ ありがとう いま ゆっくり",
    "fi": "seis odota ei kyllä uudelleen montako kiitos nyt hitaasti seitsemän",
}
ENGLISH = "en-us en-us en-us en-gb en-gb en-gb-scotland en-gb-x-rp en-gb-x-gbcwmd en-gb-x-gbclan en-029 en-us-nyc".split()
VARIANTS = (
    "m1 m2 m3 m4 m5 m6 m7 m8 f1 f2 f3 f4 f5 m1 m2 m3 m4 m5 m6 m7 f1 f2 f3 f4 f5 croak whisper whisperf klatt klatt2 klatt3 "
    "klatt4 adam Alex Alicia Andrea Andy Annie aunty belinda benjamin boris caleb david Denis Diogo ed edward gene grandpa "
    "Henrique Hugo Jacky john Lee linda marcelo Marco mario max michael Michel miguel mike norbert pablo paul pedro quincy "
    "rob robert sandro shelby steph steph2 travis victor zac anika kaukovalta"
).split()


def english_text(rng):
    """A text to say and its group: a word, a short command or a sentence, mostly nonsense."""
    kind = rng.random()
    if kind < 0.30:
        count = 1 if rng.random() < 0.75 else int(rng.integers(2, 4))
        return " ".join(rng.choice(WORDS, count)), "word"
    if kind < 0.48:
        return str(rng.choice(COMMANDS)), "word"
    if kind < 0.54:
        return str(rng.integers(0, 10 ** int(rng.integers(1, 5)))), "word"
    parts = [rng.choice(SUBJECTS), rng.choice(VERBS), rng.choice(OBJECTS)]
    if rng.random() < 0.35:
        parts.insert(0, rng.choice(OPENERS))
    if rng.random() < 0.6:
        parts.append(rng.choice(TAILS))
    return " ".join(parts), "sentence"


def read_wave(data):
    """Decodes a WAV file of 16-bit mono samples, brought to 16 kHz: float32. Programs that stream leave the length open."""
    with wave.open(io.BytesIO(data)) as reader:
        rate = reader.getframerate()
        pcm = np.frombuffer(reader.readframes(len(data)), dtype=np.int16).astype(np.float32) / 32768
    if rate == SAMPLE_RATE_HZ:
        return pcm
    divisor = np.gcd(rate, SAMPLE_RATE_HZ)
    return resample_poly(pcm, SAMPLE_RATE_HZ // divisor, rate // divisor).astype(np.float32)


def speak_espeak(rng):
    """One utterance by espeak-ng: random accent, variant, pitch, range and speed."""
    if rng.random() < 0.65:
        voice, (text, group) = rng.choice(ENGLISH), english_text(rng)
    else:
        voice = rng.choice(list(FOREIGN))
        words = FOREIGN[voice].split()
        count = int(rng.choice([1, 1, 2, 3, 6, 9]))
        text, group = " ".join(rng.choice(words, count)), "word" if count < 4 else "sentence"
    command = ["espeak-ng", "-v", f"{voice}+{rng.choice(VARIANTS)}", "-p", str(rng.integers(15, 95)), "-s", str(rng.integers(110, 231)), "-m", "--stdout",
               f'<prosody range="{rng.integers(40, 220)}%">{text}</prosody>']
    return read_wave(subprocess.run(command, capture_output=True, check=True).stdout), group


def speak_flite(rng, folder):
    """One utterance by flite: random voice, pitch and duration."""
    voice = str(rng.choice(["kal", "kal16", "awb", "awb", "rms", "rms", "rms", "slt", "slt", "slt"]))
    text, group = english_text(rng)
    mean = {"slt": 175, "awb": 140}.get(voice, 105) * rng.uniform(0.78, 1.4)
    path = folder / "flite.wav"
    command = ["flite", "-voice", voice, "--setf", f"int_f0_target_mean={mean:.0f}", "--setf", f"int_f0_target_stddev={rng.uniform(8, 45):.0f}",
               "--setf", f"duration_stretch={rng.uniform(0.75, 1.4):.2f}", "-t", text, "-o", str(path)]
    subprocess.run(command, capture_output=True, check=True)
    return read_wave(path.read_bytes()), group


def speak_festival(rng, folder, count):
    """`count` utterances by one festival process, which is slow to start: a list of (pcm, group)."""
    lines, groups = [], []
    for i in range(count):
        text, group = english_text(rng)
        voice = rng.choice(["voice_cmu_us_slt_arctic_hts", "voice_kal_diphone"])
        lines.append(f"({voice}) (Parameter.set 'Duration_Stretch {rng.uniform(0.75, 1.35):.2f})")
        lines.append(f"""(utt.save.wave (utt.synth (Utterance Text "{text}")) "{folder}/festival{i}.wav" 'riff)""")
        groups.append(group)
    script = folder / "say.scm"
    script.write_text("\n".join(lines))
    subprocess.run(["festival", "-b", str(script)], capture_output=True, check=True)
    return [(read_wave((folder / f"festival{i}.wav").read_bytes()), group) for i, group in enumerate(groups)]


def revoice(pcm, formant_scale, breath, rng):
    """Another speaker's vocal tract and breath over the same pitch and words.

    Source-filter on frames of 32 ms: the all-pole envelope (order 18) is stretched over frequency by `formant_scale`, and noise at
    `breath` times the level of the source is added to it, so that diphone and formant voices lose their shared, too clean timbre.
    """
    size, hop, order = 512, 128, 18
    padded = np.concatenate([np.zeros(size, np.float32), pcm, np.zeros(2 * size, np.float32)])
    count = (len(padded) - size) // hop + 1
    window = np.hanning(size + 1)[:-1].astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop][:count] * window
    spectrum = np.fft.rfft(frames, 2 * size, axis=1)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2, axis=1)[:, : order + 1]
    correlation[:, 0] = correlation[:, 0] * 1.0005 + 1e-7
    lags = np.abs(np.arange(order)[:, None] - np.arange(order)[None, :])
    predictor = np.linalg.solve(correlation[:, lags], correlation[:, 1:, None])[..., 0]
    inverse = np.abs(np.fft.rfft(np.concatenate([np.ones((count, 1)), -predictor], axis=1), 2 * size, axis=1))
    bins = np.arange(size + 1) / formant_scale
    low = np.minimum(bins.astype(int), size - 1)
    part = np.clip(bins - low, 0, 1)
    envelope = 1 / (inverse[:, low] * (1 - part) + inverse[:, low + 1] * part)
    source = spectrum * inverse
    level = np.sqrt(np.mean(np.abs(source) ** 2, axis=1, keepdims=True) / 2)
    # Breath is a property of the upper part of the source; below 1 kHz the pulses stay clear.
    rise = np.clip(np.arange(size + 1) / size * 4, 0.1, 1)
    noise = (rng.standard_normal(source.shape) + 1j * rng.standard_normal(source.shape)) * level * rise
    frames = np.fft.irfft((source + breath * noise) * envelope, axis=1)
    out = np.zeros(count * hop + 2 * size, np.float64)
    for i in range(count):
        out[i * hop : i * hop + 2 * size] += frames[i] * 0.5
    return out[size : size + len(pcm) + size // 2].astype(np.float32)


def finish(pcm, group, rng):
    """Revoices, trims to the sound by energy with 40 ms of margin, and normalises: a clip for `save_bank`, or None if it is empty."""
    if len(pcm) < 800 or np.abs(pcm).max() < 1e-3:
        return None
    if rng.random() < 0.85:
        pcm = revoice(pcm, rng.uniform(0.86, 1.2), rng.choice([0.0, 0.2, 0.5, 1.0, 2.0], p=[0.2, 0.25, 0.3, 0.2, 0.05]), rng)
    start, end = energy_bounds(pcm)
    if end - start < 1200:
        return None
    margin = 640
    first, last = max(0, start - margin), min(len(pcm), end + margin)
    pcm = pcm[first:last]
    return pcm * (0.9 / np.abs(pcm).max()), group, start - first, end - first


def build_speech_bank(path, minutes=60, seed=0):
    """Writes a bank of about `minutes` of short utterances (groups "word" and "sentence") at PATH; needs about 3 s a minute."""
    rng = np.random.default_rng(seed)
    programs = {"espeak-ng": 0.5, "flite": 0.4, "festival": 0.1}
    programs = {name: share for name, share in programs.items() if shutil.which(name)}
    if not programs:
        raise SystemExit("sounds: none of espeak-ng, flite, festival is installed; install at least one (apt-get install espeak-ng)")
    names, shares = list(programs), np.array(list(programs.values()))
    clips, total = [], 0
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        while total < minutes * 60 * SAMPLE_RATE_HZ:
            name = rng.choice(names, p=shares / shares.sum())
            if name == "espeak-ng":
                spoken = [speak_espeak(rng)]
            elif name == "flite":
                spoken = [speak_flite(rng, folder)]
            else:
                # Thirty at a time, so drawn a thirtieth as often.
                spoken = speak_festival(rng, folder, 30) if rng.random() < 1 / 30 else []
            for pcm, group in spoken:
                clip = finish(pcm, group, rng)
                if clip is not None:
                    clips.append(clip)
                    total += len(clip[0])
    save_bank(path, clips)
    return len(clips), total / SAMPLE_RATE_HZ
