/**
 * External memory that V8 does not count as its own.
 *
 * A buffer of Node-API counts with its whole length as memory that a collection could bring back. V8 therefore begins to
 * mark its heap whenever more than 64 MB are mapped: 1.5 to 3.5 ms with each `get` of 100 MB, where mapping takes
 * 0.05 ms. Yet what is mapped belongs to the store, of which V8 knows nothing, and which asks for collections when it
 * needs room. V8 does not count memory that it need not free, and only its C++ interface can say so. Our own end of the
 * memory lies in the deleter of the shared pointer instead, which V8 drops together with the last view.
 *
 * The few declarations below are of that interface as Node 20, 22 and 24 have it. They are weak: where one is missing, or
 * has other parameters and so another name, Node-API's buffers are used, which are the same but for the counting.
 */
#include "external-buffer.h"

#include <stdlib.h>

#include <memory>
#include <utility>

// The headers of newer C libraries look at it to leave out atomics in programs of one thread; with a definition of our
// own the binary runs with older libraries too, and always uses atomics.
char __libc_single_threaded = 0;

#define MOBULA_WEAK __attribute__((weak))

namespace v8 {

class Isolate {
 public:
  static Isolate* GetCurrent() MOBULA_WEAK;
};

class BackingStore {
 public:
  ~BackingStore() MOBULA_WEAK;
  static void EmptyDeleter(void*, size_t, void*) MOBULA_WEAK;
};

/** A handle of the scope that Node-API has opened; Node-API's own values are the same pointers. */
template <class T>
class Local {
  T* slot_;

 public:
  napi_value value() const { return reinterpret_cast<napi_value>(slot_); }
};

class ArrayBuffer {
 public:
  static std::unique_ptr<BackingStore> NewBackingStore(void*, size_t, void (*)(void*, size_t, void*), void*) MOBULA_WEAK;
  static Local<ArrayBuffer> New(Isolate*, std::shared_ptr<BackingStore>) MOBULA_WEAK;
};

}  // namespace v8

namespace mobula {

namespace {

/** What ends the memory. */
struct End {
  void (*call)(void*);
  void* data;

  void operator()(v8::BackingStore* store) const {
    delete store;
    call(data);
  }
};

bool HasUncountedBuffers() {
  return &v8::Isolate::GetCurrent != nullptr && &v8::BackingStore::EmptyDeleter != nullptr &&
         &v8::ArrayBuffer::NewBackingStore != nullptr && &v8::ArrayBuffer::New != nullptr;
}

void FinalizeNothing(napi_env, void*, void*) {}

/** V8 aborts where its memory has to lie in a cage, as in Electron; Node-API knows whether it does. */
bool AllowsExternalBuffers(napi_env env) {
  static char byte;
  static int is_allowed = -1;
  if (is_allowed < 0) {
    napi_value probe;
    is_allowed = napi_create_external_arraybuffer(env, &byte, 1, FinalizeNothing, nullptr, &probe) == napi_ok;
  }
  return is_allowed != 0;
}

void FinalizeByNode(napi_env, void*, void* hint) {
  End* end = static_cast<End*>(hint);
  end->call(end->data);
  free(end);
}

}  // namespace

napi_status CreateExternalBuffer(napi_env env, void* address, size_t length, void (*end)(void*), void* data,
                                 napi_value* buffer) {
  if (!AllowsExternalBuffers(env)) return napi_no_external_buffers_allowed;
  if (HasUncountedBuffers()) {
    auto store = v8::ArrayBuffer::NewBackingStore(address, length, v8::BackingStore::EmptyDeleter, nullptr);
    std::shared_ptr<v8::BackingStore> shared(store.release(), End{end, data});
    *buffer = v8::ArrayBuffer::New(v8::Isolate::GetCurrent(), std::move(shared)).value();
    return napi_ok;
  }
  End* hint = static_cast<End*>(malloc(sizeof(End)));
  if (hint == nullptr) abort();
  *hint = End{end, data};
  return napi_create_external_arraybuffer(env, address, length, FinalizeByNode, hint, buffer);
}

}  // namespace mobula
