import { expect, test } from "vitest";
import { withoutSecrets } from "../../src/core/secrets.ts";

test.each([
  ["rtsp://admin:s3cret@10.0.0.2/1: refused", "rtsp://admin:***@10.0.0.2/1: refused"],
  // As people write it, though an @ and a : would have to be encoded.
  ["rtsp://admin:p@ss:w@10.0.0.2:554/1", "rtsp://admin:***@10.0.0.2:554/1"],
  ["from a://x:1@h and b://y:2@i", "from a://x:***@h and b://y:***@i"],
  [
    "rtspsrc location=rtsp://h/1 user-id=a user-pw=s3cret ! x",
    "rtspsrc location=rtsp://h/1 user-id=a user-pw=*** ! x",
  ],
  ["http://h/snap?size=1&token=s3cret&n=2", "http://h/snap?size=1&token=***&n=2"],
  ["--password=s3cret --API_KEY=s3cret", "--password=*** --API_KEY=***"],
])("%s", (text, shown) => {
  expect(withoutSecrets(text)).toBe(shown);
});

test.each([
  "v4l2:/dev/v4l/by-id/usb-a:1@2-video-index0",
  "rtsp://10.0.0.2:554/user@home",
  "mqtts://broker.example.com:8883",
  "count my reps: 3@once",
  "remind me to breathe every 4 seconds, token by token",
])("%s stays as it is", (text) => {
  expect(withoutSecrets(text)).toBe(text);
});
