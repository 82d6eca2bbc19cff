// Reference firmware for microturn: a robot with two motors, a lamp and a distance sensor, on any Arduino.
// Change the pins and the actuators to what your board has; the protocol is in microturn_link.h.
#include "microturn_link.h"

const int kLeftPins[] = {5, 6};    // PWM: forwards, backwards
const int kRightPins[] = {9, 10};  // PWM: forwards, backwards
const int kLampPin = 3;            // PWM
const int kRangePin = A0;          // analogue distance sensor
const unsigned long kRangeEveryMs = 1000;

void motor(const int pins[], double speed) {
  analogWrite(pins[0], speed > 0 ? (int)(255 * speed) : 0);
  analogWrite(pins[1], speed < 0 ? (int)(-255 * speed) : 0);
}

bool within(double value, double least, double greatest) { return value >= least && value <= greatest; }

// drive speed=-1..1 turn=-1..1
bool applyDrive(const microturn::Args& args) {
  double speed = args.get("speed", 0), turn = args.get("turn", 0);
  if (!within(speed, -1, 1) || !within(turn, -1, 1)) return false;
  motor(kLeftPins, constrain(speed - turn, -1, 1));
  motor(kRightPins, constrain(speed + turn, -1, 1));
  return true;
}
void restDrive() {
  motor(kLeftPins, 0);
  motor(kRightPins, 0);
}

// light level=0..1
bool applyLight(const microturn::Args& args) {
  double level = args.get("level", 0);
  if (!within(level, 0, 1)) return false;
  analogWrite(kLampPin, (int)(255 * level));
  return true;
}
void restLight() { analogWrite(kLampPin, 0); }

void send(const char* bytes, size_t length) { Serial.write((const uint8_t*)bytes, length); }

microturn::Actuator actuators[] = {
    microturn::Actuator("drive", applyDrive, restDrive),
    microturn::Actuator("light", applyLight, restLight),
};
microturn::Link board("arduino-robot", actuators, 2, send);

void setup() {
  for (int i = 0; i < 2; i++) {
    pinMode(kLeftPins[i], OUTPUT);
    pinMode(kRightPins[i], OUTPUT);
  }
  pinMode(kLampPin, OUTPUT);
  restDrive();
  restLight();
  Serial.begin(115200);
}

void loop() {
  while (Serial.available() > 0) board.receive((char)Serial.read(), millis());
  board.poll(millis());

  static unsigned long saidMs = 0;
  if (millis() - saidMs < kRangeEveryMs) return;
  saidMs = millis();
  char text[24];
  snprintf(text, sizeof text, "range %d", analogRead(kRangePin));
  board.line(text);
}
