/**
 * What Node cannot do by itself: map a file into memory, reserve its space, wait for a file descriptor, and compute
 * CRC-32C with the processor's instruction. `src/io/native.ts` is the only caller and has the typed interface.
 *
 * Rules that the addon keeps:
 * - Node-API, so that one binary serves every version of Node; the one exception, in `external-buffer.cc`, does without
 *   where it has to. No C++ library, so that none has to be there.
 * - A mapping ends with the last use of its memory and not with one JavaScript object, wherever views and transfers
 *   went, also when a worker thread ends.
 * - Every mapping is readable and writable: a write by user code to a read-only page would kill the process.
 * - V8 is told nothing about external memory that it does not count itself: correcting its books aborts Node 24.
 * - Everything that comes from JavaScript is checked, and what the system refuses is thrown with the name of its errno.
 */
#define NAPI_VERSION 8
#include <node_api.h>

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#if defined(__linux__)
#include <signal.h>
#include <sys/prctl.h>
#endif

#include "arguments.h"
#include "crc32c.h"
#include "mappings.h"
#include "pages.h"

#if defined(__linux__) && !defined(MADV_POPULATE_WRITE)
#define MADV_POPULATE_WRITE 23
#endif

namespace mobula {

namespace {

/** The loader refuses a binary with another number: raise it whenever the interface changes. */
constexpr uint32_t kInterfaceVersion = 3;

// ── Space ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** reserve(fd, offset, length): so that a write to a mapping never meets a full file system, which would be fatal */
napi_value ReserveSpace(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  int fd;
  off_t offset;
  size_t length;
  if (!arguments.Descriptor(0, &fd) || !arguments.Range(1, &offset, &length)) return nullptr;
  int error = Reserve(fd, offset, length);
  return error == 0 ? Undefined(env) : ThrowErrno(env, "fallocate", error);
}

/**
 * populate(bytes): the pages of a mapping that this process has not touched, in one call instead of one fault each.
 * Says false where the kernel does not know how (Linux before 5.14).
 */
napi_value Populate(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  uint8_t* data;
  size_t length;
  if (!arguments.Bytes(0, &data, &length)) return nullptr;
#if defined(__linux__)
  if (length == 0) return Boolean(env, true);
  uintptr_t mask = kPage - 1;
  uintptr_t start = reinterpret_cast<uintptr_t>(data) & ~mask;
  uintptr_t end = (reinterpret_cast<uintptr_t>(data) + length + mask) & ~mask;
  int result;
  do {
    result = madvise(reinterpret_cast<void*>(start), end - start, MADV_POPULATE_WRITE);
  } while (result != 0 && (errno == EINTR || errno == EAGAIN));
  if (result == 0) return Boolean(env, true);
  if (errno == EINVAL || errno == ENOSYS) return Boolean(env, false);
  // A page that cannot be had: the file system is full, or the file was cut.
  return ThrowErrno(env, "madvise(MADV_POPULATE_WRITE)", errno == EFAULT ? ENOSPC : errno);
#else
  return Boolean(env, false);
#endif
}

// ── The rest ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** crc32c(bytes, before): number */
napi_value Crc32cOf(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  uint8_t* data;
  size_t length;
  double before;
  if (!arguments.Bytes(0, &data, &length)) return nullptr;
  if (!arguments.Whole(1, 0, UINT32_MAX, &before, "a checksum is a whole number of 32 bits")) return nullptr;
  return Number(env, Crc32c(data, length, static_cast<uint32_t>(before)));
}

/** crc32cTable(bytes, before): the same without the processor's instruction, to test that path everywhere */
napi_value Crc32cTableOf(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  uint8_t* data;
  size_t length;
  double before;
  if (!arguments.Bytes(0, &data, &length)) return nullptr;
  if (!arguments.Whole(1, 0, UINT32_MAX, &before, "a checksum is a whole number of 32 bits")) return nullptr;
  return Number(env, Crc32cByTable(data, length, static_cast<uint32_t>(before)));
}

/** waitReadable(fd, timeoutMs): blocks this thread; -1 waits without end. False when the time is over. */
napi_value WaitReadable(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  int fd;
  double timeout_ms;
  if (!arguments.Descriptor(0, &fd)) return nullptr;
  if (!arguments.Whole(1, -1, INT32_MAX, &timeout_ms, "a time-out is a whole number of milliseconds, or -1")) {
    return nullptr;
  }
  int64_t deadline = NowMs() + static_cast<int64_t>(timeout_ms);
  pollfd waiting = {fd, POLLIN, 0};
  int left = static_cast<int>(timeout_ms);
  for (;;) {
    int ready = poll(&waiting, 1, left);
    if (ready > 0) break;
    if (ready == 0) return Boolean(env, false);
    if (errno != EINTR) return ThrowErrno(env, "poll", errno);
    if (timeout_ms < 0) continue;
    int64_t rest = deadline - NowMs();
    left = rest > 0 ? static_cast<int>(rest) : 0;
  }
  if ((waiting.revents & POLLNVAL) != 0) return ThrowErrno(env, "poll", EBADF);
  return Boolean(env, true); // bytes, or the end, which a read reports
}

/** dieWithParent(): ask the kernel to kill this process when its parent is gone. False where there is no such thing. */
napi_value DieWithParent(napi_env env, napi_callback_info) {
#if defined(__linux__)
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return ThrowErrno(env, "prctl", errno);
  return Boolean(env, true);
#else
  return Boolean(env, false);
#endif
}

}  // namespace

}  // namespace mobula

// No C++ library is linked, so `new` and `delete` are the C library's, as they are in Node.
void* operator new(size_t size) {
  void* memory = malloc(size);
  if (memory == nullptr) abort();
  return memory;
}
void operator delete(void* memory) noexcept { free(memory); }
void operator delete(void* memory, size_t) noexcept { free(memory); }

NAPI_MODULE_INIT() {
  using namespace mobula;
  if (!BeginListener(env)) return nullptr;
  const struct {
    const char* name;
    napi_callback call;
  } functions[] = {
      {"mapShared", MapShared},       {"mapPrivate", MapPrivate},     {"unmap", Unmap},
      {"liveMaps", LiveMaps},         {"onReleased", OnReleased},     {"takeReleased", TakeReleased},
      {"reserve", ReserveSpace},      {"populate", Populate},         {"copyPrivateMaps", CopyPrivateMaps},
      {"crc32c", Crc32cOf},           {"crc32cTable", Crc32cTableOf}, {"waitReadable", WaitReadable},
      {"dieWithParent", DieWithParent},
  };
  for (const auto& each : functions) {
    napi_value function;
    if (napi_create_function(env, each.name, NAPI_AUTO_LENGTH, each.call, nullptr, &function) != napi_ok ||
        napi_set_named_property(env, exports, each.name, function) != napi_ok) {
      return nullptr;
    }
  }
  napi_set_named_property(env, exports, "interfaceVersion", Number(env, kInterfaceVersion));
  return exports;
}
