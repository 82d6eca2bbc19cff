/** Version of topics and payloads. A change that an older reader would misread makes it 2, in both. */
export const PROTOCOL_VERSION = 1;

/** Bounds of what may be sent. Whatever exceeds one is refused by both sides, and the sender's encoder throws. */
export const LIMITS = {
  /** Characters of an identifier: device, worker, task. They stand in topics, so they are letters, digits, - and _. */
  idChars: 64,
  /** Bytes of a payload, by channel. */
  payloadBytes: {
    requests: 1_048_576,
    replies: 131_072,
    controls: 32_768,
    "device-presence": 1024,
    "device-state": 4096,
    "worker-presence": 1024,
  },
  /** Characters (UTF-16 code units) of a text, by what it is. */
  chars: {
    task: 4000,
    transcriptEntry: 500,
    label: 64,
    amend: 2000,
    answer: 2000,
    progress: 200,
    delta: 2000,
    ask: 1000,
    result: 16_384,
    errorMessage: 300,
  },
  /** Entries of a list. */
  entries: { transcript: 200, counts: 32, devices: 32, stills: 4, followUps: 32 },
  /** Characters of a still: base64 of a JPEG of about 110 kB. */
  stillChars: 150_000,
  /** Time that a task may take, ms. */
  deadlineMs: { min: 1000, max: 86_400_000 },
  /** Silence after which a worker may be taken for dead, ms. */
  leaseMs: { min: 1000, max: 600_000 },
  /** Time that a reply or a control is worth keeping for a receiver that is away, s. */
  validSeconds: { min: 1, max: 86_400 },
  /** Attempts at one task: whoever needs more has another fault. */
  attempts: 1000,
  /** Session time and counts: a year of milliseconds and more. */
  count: 1e12,
} as const;
