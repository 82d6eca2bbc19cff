// The board's end of the microturn serial protocol, version 1: README.md beside this folder is its definition.
//
// Needs no Arduino, no heap and about 300 bytes of RAM. Give it every byte that arrives and call poll() in loop().
// A command is in force until its deadline at the longest, and everything rests when no answer to one of our
// heartbeats has come for the time that host and board agreed upon.
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

namespace microturn {

const unsigned kVersion = 1;
const size_t kMaxFrameBytes = 128;
const uint8_t kMaxArgs = 6;
const uint32_t kMinTimeoutMs = 100;
const uint32_t kMaxTimeoutMs = 2000;
const int32_t kMaxHoldMs = 10000;
const uint32_t kBeatsPerTimeout = 4;

// CRC-16/CCITT-FALSE: polynomial 0x1021, initial value 0xFFFF, nothing reflected, no final XOR; "123456789" gives 0x29B1.
inline uint16_t crc16(const char* bytes, size_t length) {
  uint16_t crc = 0xFFFF;
  for (size_t i = 0; i < length; i++) {
    crc ^= (uint16_t)((uint8_t)bytes[i]) << 8;
    for (uint8_t bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (uint16_t)(crc << 1) ^ 0x1021 : (uint16_t)(crc << 1);
  }
  return crc;
}

// The named values of one command.
struct Args {
  uint8_t count = 0;
  const char* names[kMaxArgs];
  double values[kMaxArgs];

  // The value of that name, or `absent`.
  double get(const char* name, double absent) const {
    for (uint8_t i = 0; i < count; i++)
      if (strcmp(names[i], name) == 0) return values[i];
    return absent;
  }
};

struct Actuator {
  const char* name;
  // Puts a command into force; false if its values are not allowed, and then nothing has changed.
  bool (*apply)(const Args& args);
  // To the safe state: nothing moves.
  void (*rest)();
  bool inForce = false;
  uint32_t deadlineMs = 0;

  Actuator(const char* name, bool (*apply)(const Args&), void (*rest)()) : name(name), apply(apply), rest(rest) {}
};

class Link {
 public:
  // `write` sends bytes; it should not wait long. Times are those of millis(): they may wrap.
  Link(const char* boardName, Actuator* actuators, uint8_t count, void (*write)(const char* bytes, size_t length))
      : boardName_(boardName), actuators_(actuators), count_(count), write_(write) {}

  // False: everything rests and commands are refused.
  bool live() const { return live_; }

  // A `$` always begins a line anew; what is no frame with the right CRC is dropped.
  void receive(char byte, uint32_t nowMs) {
    if (byte == '$') length_ = 0;
    else if (length_ == 0) return;
    if (length_ == kMaxFrameBytes) {
      length_ = 0;
      return;
    }
    in_[length_++] = byte;
    if (byte != '\n') return;
    if (checked()) hear(nowMs);
    length_ = 0;
  }

  // Ends what is over, stops, beats. Call it every few milliseconds.
  void poll(uint32_t nowMs) {
    if (!opened_) return;
    stopIfSilent(nowMs);
    for (uint8_t i = 0; i < count_; i++) {
      Actuator& actuator = actuators_[i];
      if (!actuator.inForce || (int32_t)(actuator.deadlineMs - nowMs) > 0) continue;
      actuator.inForce = false;
      actuator.rest();
    }
    if ((int32_t)(nowMs - beatMs_) >= (int32_t)(timeoutMs_ / kBeatsPerTimeout)) beat(nowMs);
  }

  // Sends what a sensor says: printable ASCII without $ and *, 100 characters at most.
  void line(const char* text) {
    if (!opened_) return;
    snprintf(out_, sizeof out_, "$l %u %.100s", (unsigned)nextSeq(), text);
    send();
  }

 private:
  // Cuts the line down to its body, between `$` and `*`, if its CRC is right.
  bool checked() {
    in_[length_] = 0;
    char* star = strrchr(in_, '*');
    if (!star) return false;
    unsigned crc = 0;
    for (char* at = star + 1; at < star + 5; at++) {
      if (*at >= '0' && *at <= '9') crc = crc << 4 | (unsigned)(*at - '0');
      else if (*at >= 'A' && *at <= 'F') crc = crc << 4 | (unsigned)(*at - 'A' + 10);
      else return false;
    }
    if (strcmp(star + 5, "\n") != 0 && strcmp(star + 5, "\r\n") != 0) return false;
    *star = 0;
    return crc16(in_ + 1, (size_t)(star - in_ - 1)) == crc;
  }

  void hear(uint32_t nowMs) {
    char kind = in_[1];
    if (kind == 0 || in_[2] != ' ') return;
    const char* at = in_ + 3;
    uint32_t seq, first, second;
    if (!number(at, seq) || seq > 0xFFFF) return;
    if (kind == 'o' && number(at, first) && number(at, second) && *at == 0) open(seq, first, second, nowMs);
    if (kind == 'h' && number(at, first) && *at == 0) noteHost(first, nowMs);
    if (kind == 'c' && number(at, first)) command((uint16_t)seq, first, (char*)at, nowMs);
    if (kind == 's' && *at == 0) {
      restAll();
      ack((uint16_t)seq, "ok");
    }
  }

  void open(uint32_t seq, uint32_t nonce, uint32_t timeoutMs, uint32_t nowMs) {
    // A host that has not heard our answer yet asks again; that must not undo what it has begun since.
    bool again = opened_ && nonce == nonce_;
    if (!again) {
      restAll();
      opened_ = true;
      nonce_ = nonce;
      timeoutMs_ = timeoutMs < kMinTimeoutMs ? kMinTimeoutMs : timeoutMs > kMaxTimeoutMs ? kMaxTimeoutMs : timeoutMs;
      hostHeardMs_ = nowMs;
      live_ = true;
      answered_ = false;
    }
    snprintf(out_, sizeof out_, "$r %lu %lu %lu %lu %u %.40s", (unsigned long)seq, (unsigned long)nonce,
             (unsigned long)nowMs, (unsigned long)timeoutMs_, kVersion, boardName_);
    send();
    if (!again) beat(nowMs);
  }

  // Only what we really said, and not longer ago than what we know already, shows that the host hears us.
  void noteHost(uint32_t boardMs, uint32_t nowMs) {
    if (!opened_ || (int32_t)(nowMs - boardMs) < 0 || (int32_t)(boardMs - hostHeardMs_) < 0) return;
    hostHeardMs_ = boardMs;
    if (!silent(nowMs)) live_ = true;
  }

  // The same command may come twice, when our answer was lost: it is carried out once and answered again.
  void command(uint16_t seq, uint32_t deadlineMs, char* text, uint32_t nowMs) {
    stopIfSilent(nowMs);
    if (!answered_ || commandSeq_ != seq) {
      commandResult_ = execute(deadlineMs, text, nowMs);
      commandSeq_ = seq;
      answered_ = true;
    }
    ack(seq, commandResult_);
  }

  const char* execute(uint32_t deadlineMs, char* text, uint32_t nowMs) {
    int32_t leftMs = (int32_t)(deadlineMs - nowMs);
    Args args;
    const char* name = strtok(text, " ");
    bool understood = name != nullptr;
    for (char* pair = strtok(nullptr, " "); pair; pair = strtok(nullptr, " ")) {
      char* equals = strchr(pair, '=');
      if (!equals || args.count == kMaxArgs) {
        understood = false;
        break;
      }
      *equals = 0;
      args.names[args.count] = pair;
      args.values[args.count++] = strtod(equals + 1, nullptr);
    }
    if (!live_) return "stopped";
    if (leftMs <= 0) return "expired";
    Actuator* actuator = understood ? find(name) : nullptr;
    if (!actuator) return "unknown";
    if (leftMs > kMaxHoldMs || !actuator->apply(args)) return "range";
    actuator->inForce = true;
    actuator->deadlineMs = deadlineMs;
    return "ok";
  }

  Actuator* find(const char* name) {
    for (uint8_t i = 0; i < count_; i++)
      if (strcmp(actuators_[i].name, name) == 0) return &actuators_[i];
    return nullptr;
  }

  bool silent(uint32_t nowMs) const { return (int32_t)(nowMs - hostHeardMs_) >= (int32_t)timeoutMs_; }

  void stopIfSilent(uint32_t nowMs) {
    if (!live_ || !silent(nowMs)) return;
    live_ = false;
    restAll();
  }

  void restAll() {
    for (uint8_t i = 0; i < count_; i++) {
      actuators_[i].inForce = false;
      actuators_[i].rest();
    }
  }

  void beat(uint32_t nowMs) {
    beatMs_ = nowMs;
    snprintf(out_, sizeof out_, "$h %u %lu %s", (unsigned)nextSeq(), (unsigned long)nowMs, live_ ? "live" : "stopped");
    send();
  }

  void ack(uint16_t seq, const char* result) {
    snprintf(out_, sizeof out_, "$a %u %s", (unsigned)seq, result);
    send();
  }

  uint16_t nextSeq() { return seq_++; }

  // Completes the line in out_, which has room for it: every caller bounds what it writes.
  void send() {
    size_t length = strlen(out_);
    int tail = snprintf(out_ + length, sizeof out_ - length, "*%04X\n", crc16(out_ + 1, length - 1));
    write_(out_, length + (size_t)tail);
  }

  // Reads decimal digits, and the space after them.
  static bool number(const char*& at, uint32_t& value) {
    if (*at < '0' || *at > '9') return false;
    value = 0;
    for (; *at >= '0' && *at <= '9'; at++) value = value * 10 + (uint32_t)(*at - '0');
    if (*at == ' ') at++;
    return true;
  }

  const char* boardName_;
  Actuator* actuators_;
  uint8_t count_;
  void (*write_)(const char* bytes, size_t length);

  char in_[kMaxFrameBytes + 1];
  size_t length_ = 0;
  char out_[kMaxFrameBytes + 1];
  uint16_t seq_ = 0;

  bool opened_ = false;
  bool live_ = false;
  uint32_t nonce_ = 0;
  uint32_t timeoutMs_ = 0;
  uint32_t hostHeardMs_ = 0;  // up to here the host is known to have heard us
  uint32_t beatMs_ = 0;
  bool answered_ = false;
  uint16_t commandSeq_ = 0;
  const char* commandResult_ = "";
};

}  // namespace microturn
