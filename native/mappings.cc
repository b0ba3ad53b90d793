/**
 * Mappings of the store's file. One ends with the last view of its memory, which any thread may find out: V8's sweepers,
 * or the end of the thread that made it. Whoever it is takes the addresses back and leaves the token for the mapping's
 * environment, which is woken up, and may also ask in the middle of synchronous code.
 */
#include "mappings.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "arguments.h"
#include "external-buffer.h"
#include "pages.h"

#if defined(__linux__) && !defined(MADV_POPULATE_WRITE)
#define MADV_POPULATE_WRITE 23
#endif

namespace mobula {

namespace {

/** Arrays in the store begin at multiples of it: `STORE_PAGE_BYTES` in src/base/limits.ts. */
constexpr off_t kStorePage = 4096;

struct Mapping;

/** Where an environment hears of mappings that are gone. It stays until the environment and all its mappings are gone. */
struct Listener {
  /** Wakes the event loop up from any thread; null when that has ended, or nobody has asked to be told yet. */
  napi_threadsafe_function waker;
  napi_ref on_released;
  /** Mappings that are gone and whose tokens nobody has taken yet, the last one first. */
  Mapping* gone;
  size_t users;
};

struct Mapping {
  napi_env env;
  Listener* listener;
  void* address;
  size_t length;
  bool is_private;
  /** Until the mapping has succeeded, the pin is the caller's, and nobody is told. */
  double token;
  Mapping* previous;
  Mapping* next;
};

/** The private mappings of all threads: the kernel limits them for the process as a whole. */
Mapping* private_maps = nullptr;
uint32_t live_maps = 0;
/** Guards both, and all listeners. */
pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void Enlist(Mapping* mapping) {
  pthread_mutex_lock(&lock);
  mapping->listener->users++;
  if (mapping->is_private) {
    mapping->next = private_maps;
    if (private_maps != nullptr) private_maps->previous = mapping;
    private_maps = mapping;
    live_maps++;
  }
  pthread_mutex_unlock(&lock);
}

void Delist(Mapping* mapping) {
  if (!mapping->is_private) return;
  pthread_mutex_lock(&lock);
  if (mapping->previous != nullptr) mapping->previous->next = mapping->next;
  else private_maps = mapping->next;
  if (mapping->next != nullptr) mapping->next->previous = mapping->previous;
  live_maps--;
  pthread_mutex_unlock(&lock);
}

void LeaveLocked(Listener* listener) {
  if (--listener->users == 0) free(listener);
}

/** The last view of the memory is gone. On any thread. */
void EndMapping(void* data) {
  Mapping* mapping = static_cast<Mapping*>(data);
  Delist(mapping);  // before its addresses can become another's
  munmap(mapping->address, mapping->length);
  pthread_mutex_lock(&lock);
  Listener* listener = mapping->listener;
  // Nothing of JavaScript can run when the thread has ended: the process of the pins is told by their connection then.
  bool is_kept = mapping->token >= 0 && listener->waker != nullptr;
  if (is_kept) {
    mapping->next = listener->gone;
    listener->gone = mapping;
    // Who finds others in the list has been woken up, or will take all.
    if (mapping->next == nullptr) napi_call_threadsafe_function(listener->waker, nullptr, napi_tsfn_nonblocking);
  }
  LeaveLocked(listener);
  pthread_mutex_unlock(&lock);
  if (!is_kept) free(mapping);
}

Mapping* TakeGoneLocked(Listener* listener) {
  Mapping* gone = listener->gone;
  listener->gone = nullptr;
  return gone;
}

void FreeAll(Mapping* mapping) {
  while (mapping != nullptr) {
    Mapping* next = mapping->next;
    free(mapping);
    mapping = next;
  }
}

/** In the event loop, or without an environment when that has ended. */
void TellReleased(napi_env env, napi_value, void* context, void*) {
  napi_value callback;
  if (env == nullptr ||
      napi_get_reference_value(env, static_cast<Listener*>(context)->on_released, &callback) != napi_ok) {
    return;
  }
  napi_call_function(env, Undefined(env), callback, 0, nullptr, nullptr);
}

/** The event loop has ended: nobody takes tokens any more. */
void EndWaker(napi_env, void* data, void*) {
  Listener* listener = static_cast<Listener*>(data);
  pthread_mutex_lock(&lock);
  Mapping* gone = TakeGoneLocked(listener);
  listener->waker = nullptr;
  LeaveLocked(listener);
  pthread_mutex_unlock(&lock);
  FreeAll(gone);
}

void EndEnvironment(napi_env, void* data, void*) {
  pthread_mutex_lock(&lock);
  LeaveLocked(static_cast<Listener*>(data));
  pthread_mutex_unlock(&lock);
}

Listener* ListenerOf(napi_env env) {
  Listener* listener = nullptr;
  napi_get_instance_data(env, reinterpret_cast<void**>(&listener));
  return listener;
}

/** False after throwing. */
bool BeginWaker(napi_env env, Listener* listener) {
  if (listener->waker != nullptr) return true;
  napi_value name;
  napi_threadsafe_function waker;
  if (napi_create_string_utf8(env, "mobula mappings", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, listener, EndWaker, listener, TellReleased,
                                      &waker) != napi_ok) {
    ThrowErrno(env, "napi_create_threadsafe_function", ENOMEM);
    return false;
  }
  napi_unref_threadsafe_function(env, waker);
  pthread_mutex_lock(&lock);
  listener->users++;
  listener->waker = waker;
  pthread_mutex_unlock(&lock);
  return true;
}

/** Undefined if this runtime allows no external memory: the caller copies then. */
napi_value Map(napi_env env, int fd, off_t offset, size_t length, bool is_private, double token) {
  if (offset % kStorePage != 0) return ThrowErrno(env, "mmap at an offset inside a page", EINVAL);
  // Where the machine's pages are larger than the store's, the mapping begins earlier than its buffer.
  size_t before = static_cast<size_t>(offset) & (kPage - 1);
  size_t whole = before + length;
  Mapping* mapping = static_cast<Mapping*>(malloc(sizeof(Mapping)));
  if (mapping == nullptr) return ThrowErrno(env, "malloc", ENOMEM);
  void* address = MapAligned(fd, offset - static_cast<off_t>(before), whole, is_private ? MAP_PRIVATE : MAP_SHARED);
  if (address == MAP_FAILED) {
    int error = errno;
    free(mapping);
    return ThrowErrno(env, "mmap", error);
  }
  if (token >= 0) ShowPages(address, whole);  // an array for user code, which most likely reads it
  *mapping = {env, ListenerOf(env), address, whole, is_private, -1, nullptr, nullptr};
  Enlist(mapping);
  napi_value buffer = nullptr;
  uint8_t* start = static_cast<uint8_t*>(address) + before;
  napi_status status = CreateExternalBuffer(env, start, length, EndMapping, mapping, &buffer);
  if (status == napi_ok) {
    mapping->token = token;
    return buffer;
  }
  if (status == napi_no_external_buffers_allowed) {
    EndMapping(mapping);
    return Undefined(env);
  }
  bool is_thrown = false;
  napi_is_exception_pending(env, &is_thrown);
  return is_thrown ? nullptr : ThrowErrno(env, "napi_create_external_arraybuffer", ENOMEM);
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
  for (size_t at = 0; at < mapping->length; at += kPage) bytes[at] = bytes[at];
}

}  // namespace

bool BeginListener(napi_env env) {
  Listener* listener = static_cast<Listener*>(calloc(1, sizeof(Listener)));
  if (listener == nullptr) return false;
  listener->users = 1;
  return napi_set_instance_data(env, listener, EndEnvironment, nullptr) == napi_ok;
}

napi_value MapShared(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  int fd;
  off_t offset;
  size_t length;
  if (!arguments.Descriptor(0, &fd) || !arguments.Range(1, &offset, &length)) return nullptr;
  return Map(env, fd, offset, length, false, -1);
}

napi_value MapPrivate(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  int fd;
  off_t offset;
  size_t length;
  double token;
  if (!arguments.Descriptor(0, &fd) || !arguments.Range(1, &offset, &length)) return nullptr;
  if (!arguments.Whole(3, -1, kMaxWhole, &token, "a token is a whole number")) return nullptr;
  return Map(env, fd, offset, length, true, token);
}

napi_value Unmap(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  if (arguments.count < 1 || napi_detach_arraybuffer(env, arguments.values[0]) != napi_ok) {
    return ThrowArgument(env, "only a mapped ArrayBuffer can be unmapped");
  }
  return Undefined(env);
}

napi_value LiveMaps(napi_env env, napi_callback_info) {
  return Number(env, __atomic_load_n(&live_maps, __ATOMIC_RELAXED));
}

napi_value CopyPrivateMaps(napi_env env, napi_callback_info) {
  pthread_mutex_lock(&lock);
  for (Mapping* mapping = private_maps; mapping != nullptr; mapping = mapping->next) {
    if (mapping->env == env && mapping->token >= 0) CopyPages(mapping);
  }
  pthread_mutex_unlock(&lock);
  return Undefined(env);
}

napi_value OnReleased(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  napi_valuetype type = napi_undefined;
  if (arguments.count < 1 || napi_typeof(env, arguments.values[0], &type) != napi_ok || type != napi_function) {
    return ThrowArgument(env, "onReleased takes a function");
  }
  Listener* listener = ListenerOf(env);
  if (!BeginWaker(env, listener)) return nullptr;
  if (listener->on_released != nullptr) napi_delete_reference(env, listener->on_released);
  listener->on_released = nullptr;
  napi_create_reference(env, arguments.values[0], 1, &listener->on_released);
  return Undefined(env);
}

napi_value TakeReleased(napi_env env, napi_callback_info) {
  Listener* listener = ListenerOf(env);
  pthread_mutex_lock(&lock);
  Mapping* gone = TakeGoneLocked(listener);
  pthread_mutex_unlock(&lock);
  napi_value tokens;
  napi_status status = napi_create_array(env, &tokens);
  uint32_t count = 0;
  for (Mapping* mapping = gone; mapping != nullptr && status == napi_ok; mapping = mapping->next) {
    napi_value token;
    status = napi_create_double(env, mapping->token, &token);
    if (status == napi_ok) status = napi_set_element(env, tokens, count++, token);
  }
  FreeAll(gone);
  return status == napi_ok ? tokens : nullptr;
}

}  // namespace mobula
