// A plain read/write loop over TCP on the loopback, with a CRC-32C for each piece at both ends: what the machine gives
// without mobula. One process sends, another receives; memory is touched before. Takes the bytes and prints the seconds.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../native/crc32c.h"

namespace {

constexpr size_t kPiece = 1 << 20;

void Fail(const char* what) {
  perror(what);
  exit(1);
}

double Now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

void ReadAll(int fd, void* to, size_t length) {
  for (size_t at = 0; at < length;) {
    const ssize_t got = read(fd, static_cast<char*>(to) + at, length - at);
    if (got <= 0) Fail("read");
    at += got;
  }
}

void WriteAll(int fd, const void* from, size_t length) {
  for (size_t at = 0; at < length;) {
    const ssize_t put = write(fd, static_cast<const char*>(from) + at, length - at);
    if (put < 0) Fail("write");
    at += put;
  }
}

uint8_t* Touched(size_t size) {
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) Fail("mmap");
  memset(memory, 7, size);
  return static_cast<uint8_t*>(memory);
}

void Send(const sockaddr_in& to, size_t size) {
  uint8_t* source = Touched(size);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) Fail("connect");
  char go;
  ReadAll(fd, &go, 1);
  for (size_t at = 0; at < size; at += kPiece) {
    const size_t length = size - at < kPiece ? size - at : kPiece;
    const uint32_t sum = mobula::Crc32c(source + at, length, 0);
    WriteAll(fd, &sum, sizeof sum);
    WriteAll(fd, source + at, length);
  }
  close(fd);
}

}  // namespace

int main(int, char** argv) {
  const size_t size = strtoull(argv[1], nullptr, 10);
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), length) != 0 || listen(listener, 1) != 0) Fail("listen");
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
  if (fork() == 0) {
    Send(address, size);
    return 0;
  }
  uint8_t* target = Touched(size);
  const int fd = accept(listener, nullptr, nullptr);
  if (fd < 0) Fail("accept");
  const double start = Now();
  WriteAll(fd, "g", 1);
  for (size_t at = 0; at < size; at += kPiece) {
    const size_t piece = size - at < kPiece ? size - at : kPiece;
    uint32_t sum;
    ReadAll(fd, &sum, sizeof sum);
    ReadAll(fd, target + at, piece);
    if (mobula::Crc32c(target + at, piece, 0) != sum) Fail("checksum");
  }
  printf("%.6f\n", Now() - start);
  wait(nullptr);
  return 0;
}
