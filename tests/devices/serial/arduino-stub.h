// What the sketch needs of an Arduino, in name only: to see on any machine that it compiles.
#include <stdint.h>
#include <stddef.h>
#define OUTPUT 1
#define A0 14
#define constrain(value, least, greatest) ((value) < (least) ? (least) : (value) > (greatest) ? (greatest) : (value))
void pinMode(int, int);
void analogWrite(int, int);
int analogRead(int);
unsigned long millis();
struct SerialPort {
  void begin(unsigned long);
  int available();
  int read();
  size_t write(const uint8_t*, size_t);
};
extern SerialPort Serial;
