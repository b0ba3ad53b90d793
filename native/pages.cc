/** Pages of files in shared memory: where they are mapped, and how their space is taken. */
#include "pages.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#if defined(__linux__) && !defined(MADV_COLLAPSE)
#define MADV_COLLAPSE 25
#endif
#if defined(__linux__) && !defined(MADV_POPULATE_READ)
#define MADV_POPULATE_READ 22
#endif

namespace mobula {

const size_t kPage = static_cast<size_t>(sysconf(_SC_PAGESIZE));

namespace {

/** A large page of x86-64, and of arm64 with pages of 4 KiB. Elsewhere trying to have some fails, and costs nothing. */
constexpr size_t kLargePage = 2 * 1024 * 1024;

}  // namespace

void* MapAligned(int fd, off_t offset, size_t length, int flags) {
  constexpr int kProtection = PROT_READ | PROT_WRITE;
  if (length < kLargePage) return mmap(nullptr, length, kProtection, flags, fd, offset);
  size_t whole = (length + kPage - 1) & ~(kPage - 1);
  void* taken = mmap(nullptr, whole + kLargePage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (taken == MAP_FAILED) return MAP_FAILED;
  uintptr_t begin = reinterpret_cast<uintptr_t>(taken);
  uintptr_t start = begin + ((static_cast<uintptr_t>(offset) - begin) & (kLargePage - 1));
  void* address = mmap(reinterpret_cast<void*>(start), length, kProtection, flags | MAP_FIXED, fd, offset);
  int error = errno;
  if (address == MAP_FAILED) {
    munmap(taken, whole + kLargePage);
  } else {
    if (start > begin) munmap(taken, start - begin);
    if (start < begin + kLargePage) munmap(reinterpret_cast<void*>(start + whole), begin + kLargePage - start);
  }
  errno = error;
  return address;
}

namespace {

int64_t ReadUs(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000000 + now.tv_nsec / 1000;
}

int64_t ReadMs(clockid_t clock) { return ReadUs(clock) / 1000; }

/** One call to the kernel for so much. */
constexpr size_t kShownAtOnce = 4 * kLargePage;
/** Whoever maps an array may read none of it: no longer than this. */
constexpr int64_t kShowPatienceUs = 1000;

}  // namespace

int64_t NowMs() { return ReadMs(CLOCK_MONOTONIC); }

void ShowPages(void* address, size_t length) {
#if defined(__linux__)
  int64_t begin_us = ReadUs(CLOCK_MONOTONIC);
  for (size_t at = 0; at < length; at += kShownAtOnce) {
    size_t size = length - at < kShownAtOnce ? length - at : kShownAtOnce;
    if (madvise(static_cast<uint8_t*>(address) + at, size, MADV_POPULATE_READ) != 0) return;
    if (ReadUs(CLOCK_MONOTONIC) - begin_us > kShowPatienceUs) return;
  }
#else
  (void)address, (void)length;
#endif
}

#if defined(__linux__)
namespace {

/** `fallocate`, however often a signal comes. 0 or an errno. */
int Allocate(int fd, off_t offset, size_t length) {
  int result;
  do {
    result = fallocate(fd, 0, offset, static_cast<off_t>(length));
  } while (result != 0 && errno == EINTR);
  return result == 0 ? 0 : errno;
}

/** The kernel may have to move others' pages to make a large one: no more than this of our time for each. */
constexpr int64_t kLargePagePatienceMs = 10;

/**
 * Give a range of a file in shared memory large pages, as far as there are any. One small page for each is taken the
 * usual way, then the kernel is asked to make them one (Linux 6.1), which it does whatever the machine's settings for
 * large pages are, since it was asked. Measured on a range of 256 MiB: as long as taking the same space in small pages; then
 * the first write by a process takes as long as any other (3 times as long with small ones), and so does the first read.
 */
void TakeLargePages(int fd, off_t offset, size_t length) {
  off_t start = (offset + static_cast<off_t>(kLargePage) - 1) & ~static_cast<off_t>(kLargePage - 1);
  off_t end = (offset + static_cast<off_t>(length)) & ~static_cast<off_t>(kLargePage - 1);
  if (start >= end) return;
  size_t size = static_cast<size_t>(end - start);
  void* mapping = MapAligned(fd, start, size, MAP_SHARED);
  if (mapping == MAP_FAILED) return;
  for (size_t at = 0; at < size; at += kLargePage) {
    int64_t begin_ms = ReadMs(CLOCK_THREAD_CPUTIME_ID); // others may have the processor meanwhile
    if (Allocate(fd, start + static_cast<off_t>(at), kPage) != 0) break;
    // Somebody may hold the small page for a moment: that says nothing about the next one.
    bool is_taken = madvise(static_cast<uint8_t*>(mapping) + at, kLargePage, MADV_COLLAPSE) == 0;
    if (!is_taken && errno != EAGAIN && errno != EBUSY) break;
    if (ReadMs(CLOCK_THREAD_CPUTIME_ID) - begin_ms > kLargePagePatienceMs) break;
  }
  munmap(mapping, size);
}

}  // namespace
#endif

int Reserve(int fd, off_t offset, size_t length) {
#if defined(__linux__)
  TakeLargePages(fd, offset, length);
  return Allocate(fd, offset, length); // what has space already keeps it
#else
  (void)fd, (void)offset, (void)length;
  return EOPNOTSUPP;
#endif
}

}  // namespace mobula
