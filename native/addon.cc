/**
 * What Node cannot do by itself: map a file into memory, reserve its space, wait for a file descriptor, and compute
 * CRC-32C with the processor's instruction. `src/io/native.ts` is the only caller and has the typed interface.
 *
 * Rules that this file keeps:
 * - Only Node-API, so that one binary serves every version of Node, and no C++ library, so that none has to be there.
 * - A mapping ends in the finalizer of its ArrayBuffer, which V8 ties to the memory itself and not to one JavaScript
 *   object: it runs after the last view is gone, wherever views and transfers went, also when a worker thread ends.
 * - Every mapping is readable and writable: a write by user code to a read-only page would kill the process.
 * - V8 is told nothing about external memory that it does not count itself: correcting its books aborts Node 24.
 * - Everything that comes from JavaScript is checked, and what the system refuses is thrown with the name of its errno.
 */
#define NAPI_VERSION 8
#include <node_api.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#if defined(__linux__)
#include <signal.h>
#include <sys/prctl.h>
#endif

#include "crc32c.h"
#include "pages.h"

#if defined(__linux__) && !defined(MADV_POPULATE_WRITE)
#define MADV_POPULATE_WRITE 23
#endif

namespace {

/** The loader refuses a binary with another number: raise it whenever the interface changes. */
constexpr uint32_t kInterfaceVersion = 1;

/** Private mappings of this process, of all its threads: the kernel limits them for the process as a whole. */
uint32_t live_maps = 0;

/** What one environment (main thread or worker thread) has of its own. */
struct Instance {
  /** Called with the token of a private mapping that is gone. */
  napi_ref on_released = nullptr;
};

struct Mapping {
  napi_env env;
  void* address;
  size_t length;
  bool is_private;
  double token;
  Mapping* previous;
  Mapping* next;
};

/** The private mappings of all threads, whoever ends first. */
Mapping* private_maps = nullptr;
pthread_mutex_t private_maps_lock = PTHREAD_MUTEX_INITIALIZER;

void Enlist(Mapping* mapping) {
  pthread_mutex_lock(&private_maps_lock);
  mapping->next = private_maps;
  if (private_maps != nullptr) private_maps->previous = mapping;
  private_maps = mapping;
  live_maps++;
  pthread_mutex_unlock(&private_maps_lock);
}

void Delist(Mapping* mapping) {
  pthread_mutex_lock(&private_maps_lock);
  if (mapping->previous != nullptr) mapping->previous->next = mapping->next;
  else private_maps = mapping->next;
  if (mapping->next != nullptr) mapping->next->previous = mapping->previous;
  live_maps--;
  pthread_mutex_unlock(&private_maps_lock);
}

// ── Errors and arguments ──────────────────────────────────────────────────────────────────────────────────────────

const char* ErrnoName(int error) {
  switch (error) {
    case EACCES: return "EACCES";
    case EAGAIN: return "EAGAIN";
    case EBADF: return "EBADF";
    case EDQUOT: return "EDQUOT";
    case EFAULT: return "EFAULT";
    case EFBIG: return "EFBIG";
    case EINVAL: return "EINVAL";
    case EIO: return "EIO";
    case ENODEV: return "ENODEV";
    case ENOMEM: return "ENOMEM";
    case ENOSPC: return "ENOSPC";
    case ENOSYS: return "ENOSYS";
    case EOPNOTSUPP: return "EOPNOTSUPP";
    case EOVERFLOW: return "EOVERFLOW";
    case EPERM: return "EPERM";
    case ESPIPE: return "ESPIPE";
    default: return "EUNKNOWN";
  }
}

napi_value ThrowErrno(napi_env env, const char* call, int error) {
  char message[200];
  snprintf(message, sizeof message, "%s: %s (errno %d)", call, strerror(error), error);
  napi_throw_error(env, ErrnoName(error), message);
  return nullptr;
}

napi_value ThrowArgument(napi_env env, const char* message) {
  napi_throw_type_error(env, "ERR_INVALID_ARG_VALUE", message);
  return nullptr;
}

constexpr size_t kMaxArguments = 4;

/** The arguments of a call. Each getter gives false after throwing. */
struct Arguments {
  napi_env env;
  size_t count = kMaxArguments;
  napi_value values[kMaxArguments];

  Arguments(napi_env env, napi_callback_info info) : env(env) {
    if (napi_get_cb_info(env, info, &count, values, nullptr, nullptr) != napi_ok) count = 0;
  }

  /** A whole number from `low` to `high`. */
  bool Whole(size_t index, double low, double high, double* result, const char* complaint) {
    double value = 0;
    bool is_number = index < count && napi_get_value_double(env, values[index], &value) == napi_ok;
    if (!is_number || !(value >= low && value <= high) || value != static_cast<double>(static_cast<int64_t>(value))) {
      ThrowArgument(env, complaint);
      return false;
    }
    *result = value;
    return true;
  }

  bool Descriptor(size_t index, int* fd) {
    double value;
    if (!Whole(index, 0, INT32_MAX, &value, "a file descriptor is a whole number from 0 on")) return false;
    *fd = static_cast<int>(value);
    return true;
  }

  /** A byte range of a file. */
  bool Range(size_t index, off_t* offset, size_t* length) {
    constexpr double kMax = 9007199254740991.0;
    double from, size;
    if (!Whole(index, 0, kMax, &from, "an offset is a whole number of bytes from 0 on")) return false;
    if (!Whole(index + 1, 1, kMax - from, &size, "a length is a whole number of bytes from 1 on")) return false;
    *offset = static_cast<off_t>(from);
    *length = static_cast<size_t>(size);
    return true;
  }

  bool Bytes(size_t index, uint8_t** data, size_t* length) {
    napi_typedarray_type type;
    void* start;
    bool is_array = index < count && napi_get_typedarray_info(env, values[index], &type, length, &start, nullptr,
                                                              nullptr) == napi_ok;
    if (!is_array || type != napi_uint8_array) {
      ThrowArgument(env, "bytes are a Uint8Array");
      return false;
    }
    *data = static_cast<uint8_t*>(start);
    return true;
  }
};

napi_value Number(napi_env env, double value) {
  napi_value result = nullptr;
  napi_create_double(env, value, &result);
  return result;
}

napi_value Boolean(napi_env env, bool value) {
  napi_value result = nullptr;
  napi_get_boolean(env, value, &result);
  return result;
}

napi_value Undefined(napi_env env) {
  napi_value result = nullptr;
  napi_get_undefined(env, &result);
  return result;
}

// ── Mappings ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** Nothing of JavaScript can run while a thread ends: the process of the pins is told by their connection then. */
void TellReleased(napi_env env, double token) {
  Instance* instance = nullptr;
  if (napi_get_instance_data(env, reinterpret_cast<void**>(&instance)) != napi_ok || instance == nullptr) return;
  if (instance->on_released == nullptr) return;
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value callback, argument;
  if (napi_get_reference_value(env, instance->on_released, &callback) == napi_ok && callback != nullptr &&
      napi_create_double(env, token, &argument) == napi_ok) {
    napi_call_function(env, Undefined(env), callback, 1, &argument, nullptr);
  }
  napi_close_handle_scope(env, scope);
}

/** The last view of the memory is gone. Runs when the event loop turns, or while its thread ends. */
void EndMapping(napi_env env, void*, void* hint) {
  Mapping* mapping = static_cast<Mapping*>(hint);
  if (mapping->is_private) {
    Delist(mapping); // before its addresses can become another's
    munmap(mapping->address, mapping->length);
    if (mapping->token >= 0) TellReleased(env, mapping->token);
  } else {
    munmap(mapping->address, mapping->length);
  }
  free(mapping);
}

/** Undefined if this runtime allows no external memory: the caller copies then. */
napi_value Map(napi_env env, int fd, off_t offset, size_t length, bool is_private, double token) {
  if (offset % static_cast<off_t>(mobula::kPage) != 0) return ThrowErrno(env, "mmap at an offset inside a page", EINVAL);
  Mapping* mapping = static_cast<Mapping*>(malloc(sizeof(Mapping)));
  if (mapping == nullptr) return ThrowErrno(env, "malloc", ENOMEM);
  void* address = mobula::MapAligned(fd, offset, length, is_private ? MAP_PRIVATE : MAP_SHARED);
  if (address == MAP_FAILED) {
    int error = errno;
    free(mapping);
    return ThrowErrno(env, "mmap", error);
  }
  // Until it succeeds, the pin is still the caller's.
  *mapping = {env, address, length, is_private, -1, nullptr, nullptr};
  if (is_private) Enlist(mapping);
  napi_value buffer = nullptr;
  napi_status status = napi_create_external_arraybuffer(env, address, length, EndMapping, mapping, &buffer);
  if (status == napi_ok) {
    mapping->token = token;
    return buffer;
  }
  if (status == napi_no_external_buffers_allowed) {
    EndMapping(env, address, mapping);
    return Undefined(env);
  }
  // Refused after it had taken the finalizer over, which has run or will: the mapping is not ours to end.
  bool is_thrown = false;
  napi_is_exception_pending(env, &is_thrown);
  return is_thrown ? nullptr : ThrowErrno(env, "napi_create_external_arraybuffer", ENOMEM);
}

/** mapShared(fd, offset, length): ArrayBuffer */
napi_value MapShared(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  int fd;
  off_t offset;
  size_t length;
  if (!arguments.Descriptor(0, &fd) || !arguments.Range(1, &offset, &length)) return nullptr;
  return Map(env, fd, offset, length, false, -1);
}

/** mapPrivate(fd, offset, length, token): ArrayBuffer. `onReleased` is told the token, unless it is -1. */
napi_value MapPrivate(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  int fd;
  off_t offset;
  size_t length;
  double token;
  if (!arguments.Descriptor(0, &fd) || !arguments.Range(1, &offset, &length)) return nullptr;
  if (!arguments.Whole(3, -1, 9007199254740991.0, &token, "a token is a whole number")) return nullptr;
  return Map(env, fd, offset, length, true, token);
}

/** unmap(buffer): detach it now; its memory goes when the event loop turns. Never for what user code may hold. */
napi_value Unmap(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  if (arguments.count < 1 || napi_detach_arraybuffer(env, arguments.values[0]) != napi_ok) {
    return ThrowArgument(env, "only a mapped ArrayBuffer can be unmapped");
  }
  return Undefined(env);
}

/** liveMaps(): number of private mappings of this process */
napi_value LiveMaps(napi_env env, napi_callback_info) {
  return Number(env, __atomic_load_n(&live_maps, __ATOMIC_RELAXED));
}

/**
 * One write to each page gives the mapping a page of its own, with the same bytes. Where the kernel says that it has no such
 * page, somebody has cut the file, and touching it would kill the process.
 */
void CopyPages(Mapping* mapping) {
#if defined(__linux__)
  if (madvise(mapping->address, mapping->length, MADV_POPULATE_WRITE) == 0) return;
  if (errno != EINVAL && errno != ENOSYS) return; // Linux before 5.14 does not know the question
#endif
  volatile uint8_t* bytes = static_cast<uint8_t*>(mapping->address);
  for (size_t at = 0; at < mapping->length; at += mobula::kPage) bytes[at] = bytes[at];
}

/**
 * copyPrivateMaps(): make this environment's private mappings independent of their files, which may change now. Those without
 * a token are nobody's for longer than their block is pinned, which may have ended: the file may be shorter by now.
 */
napi_value CopyPrivateMaps(napi_env env, napi_callback_info) {
  pthread_mutex_lock(&private_maps_lock);
  for (Mapping* mapping = private_maps; mapping != nullptr; mapping = mapping->next) {
    if (mapping->env == env && mapping->token >= 0) CopyPages(mapping);
  }
  pthread_mutex_unlock(&private_maps_lock);
  return Undefined(env);
}

/** onReleased(callback): one for each environment; the last one counts. */
napi_value OnReleased(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  Instance* instance = nullptr;
  napi_valuetype type = napi_undefined;
  if (arguments.count < 1 || napi_typeof(env, arguments.values[0], &type) != napi_ok || type != napi_function) {
    return ThrowArgument(env, "onReleased takes a function");
  }
  napi_get_instance_data(env, reinterpret_cast<void**>(&instance));
  if (instance->on_released != nullptr) napi_delete_reference(env, instance->on_released);
  instance->on_released = nullptr;
  napi_create_reference(env, arguments.values[0], 1, &instance->on_released);
  return Undefined(env);
}

// ── Space ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** reserve(fd, offset, length): so that a write to a mapping never meets a full file system, which would be fatal */
napi_value ReserveSpace(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  int fd;
  off_t offset;
  size_t length;
  if (!arguments.Descriptor(0, &fd) || !arguments.Range(1, &offset, &length)) return nullptr;
  int error = mobula::Reserve(fd, offset, length);
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
  uintptr_t mask = mobula::kPage - 1;
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
  return Number(env, mobula::Crc32c(data, length, static_cast<uint32_t>(before)));
}

/** crc32cTable(bytes, before): the same without the processor's instruction, to test that path everywhere */
napi_value Crc32cTableOf(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  uint8_t* data;
  size_t length;
  double before;
  if (!arguments.Bytes(0, &data, &length)) return nullptr;
  if (!arguments.Whole(1, 0, UINT32_MAX, &before, "a checksum is a whole number of 32 bits")) return nullptr;
  return Number(env, mobula::Crc32cByTable(data, length, static_cast<uint32_t>(before)));
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
  int64_t deadline = mobula::NowMs() + static_cast<int64_t>(timeout_ms);
  pollfd waiting = {fd, POLLIN, 0};
  int left = static_cast<int>(timeout_ms);
  for (;;) {
    int ready = poll(&waiting, 1, left);
    if (ready > 0) break;
    if (ready == 0) return Boolean(env, false);
    if (errno != EINTR) return ThrowErrno(env, "poll", errno);
    if (timeout_ms < 0) continue;
    int64_t rest = deadline - mobula::NowMs();
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

void EndInstance(napi_env, void* data, void*) { delete static_cast<Instance*>(data); }

}  // namespace

// No C++ library is linked: `new` and `delete` of the one class that uses them.
void* operator new(size_t size) {
  void* memory = malloc(size);
  if (memory == nullptr) abort();
  return memory;
}
void operator delete(void* memory) noexcept { free(memory); }
void operator delete(void* memory, size_t) noexcept { free(memory); }

NAPI_MODULE_INIT() {
  if (napi_set_instance_data(env, new Instance(), EndInstance, nullptr) != napi_ok) return nullptr;
  const struct {
    const char* name;
    napi_callback call;
  } functions[] = {
      {"mapShared", MapShared},       {"mapPrivate", MapPrivate},     {"unmap", Unmap},
      {"copyPrivateMaps", CopyPrivateMaps},
      {"liveMaps", LiveMaps},         {"onReleased", OnReleased},     {"reserve", ReserveSpace},
      {"populate", Populate},         {"crc32c", Crc32cOf},           {"crc32cTable", Crc32cTableOf},
      {"waitReadable", WaitReadable}, {"dieWithParent", DieWithParent},
  };
  for (const auto& each : functions) {
    napi_value function;
    if (napi_create_function(env, each.name, NAPI_AUTO_LENGTH, each.call, nullptr, &function) != napi_ok ||
        napi_set_named_property(env, exports, each.name, function) != napi_ok) {
      return nullptr;
    }
  }
  napi_set_named_property(env, exports, "interfaceVersion", Number(env, kInterfaceVersion));
  napi_set_named_property(env, exports, "pageBytes", Number(env, static_cast<double>(mobula::kPage)));
  return exports;
}
