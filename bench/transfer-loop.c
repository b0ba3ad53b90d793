/* One end of a plain read/write loop over TCP with a CRC-32C for each piece: what the hardware gives without mobula.
 * "send PORT BYTES" and "receive BYTES" (prints its port first, then nanoseconds); memory is touched before. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

uint32_t mobulaCrc32c(uint32_t before, const uint8_t *bytes, size_t length);

#define PIECE (1u << 20)

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void readAll(int fd, uint8_t *to, size_t length) {
  while (length > 0) {
    ssize_t got = read(fd, to, length);
    if (got <= 0) fail("read");
    to += got;
    length -= got;
  }
}

static void writeAll(int fd, const uint8_t *from, size_t length) {
  while (length > 0) {
    ssize_t put = write(fd, from, length);
    if (put < 0) fail("write");
    from += put;
    length -= put;
  }
}
