// Runs microturn_link.h on this machine.
//   firmware-host script   time is told: lines "MILLISECONDS HEX" on stdin; what the board writes, and after each line
//                          how its drive stands, on stdout.
//   firmware-host live     a board on stdin and stdout, in real time; tells on stderr how its drive stands.
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "../../../deploy/firmware/microturn-board/microturn_link.h"

static double speed = 0;

static bool applyDrive(const microturn::Args& args) {
  for (uint8_t i = 0; i < args.count; i++)
    if (strcmp(args.names[i], "speed") != 0) return false;
  double wanted = args.get("speed", 0);
  if (!(wanted >= -1 && wanted <= 1)) return false;
  speed = wanted;
  return true;
}
static void restDrive() { speed = 0; }

static void toStdout(const char* bytes, size_t length) {
  if (write(STDOUT_FILENO, bytes, length) < 0) _exit(1);
}

static microturn::Actuator actuators[] = {microturn::Actuator("drive", applyDrive, restDrive)};
static microturn::Link board("host", actuators, 1, toStdout);

static int runScript() {
  static char line[65536];
  while (fgets(line, sizeof line, stdin)) {
    char* at = line;
    uint32_t nowMs = (uint32_t)strtoul(at, &at, 10);
    unsigned byte;
    int used;
    while (sscanf(at, " %2x%n", &byte, &used) == 1) {
      board.receive((char)byte, nowMs);
      at += used;
    }
    board.poll(nowMs);
    char state[32];
    toStdout(state, (size_t)snprintf(state, sizeof state, "drive %.4f\n", speed));
  }
  return 0;
}

static uint32_t millis() {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint32_t)(now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

static int runLive() {
  double told = -2;
  for (;;) {
    struct pollfd input = {STDIN_FILENO, POLLIN, 0};
    if (poll(&input, 1, 5) > 0) {
      char bytes[256];
      ssize_t count = read(STDIN_FILENO, bytes, sizeof bytes);
      if (count <= 0) return 0;
      for (ssize_t i = 0; i < count; i++) board.receive(bytes[i], millis());
    }
    board.poll(millis());
    if (speed != told) fprintf(stderr, "drive %.2f\n", speed);
    told = speed;
  }
}

int main(int argc, char** argv) {
  if (argc == 2 && strcmp(argv[1], "script") == 0) return runScript();
  if (argc == 2 && strcmp(argv[1], "live") == 0) return runLive();
  return 2;
}
