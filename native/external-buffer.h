#ifndef MOBULA_EXTERNAL_BUFFER_H_
#define MOBULA_EXTERNAL_BUFFER_H_

#define NAPI_VERSION 8
#include <node_api.h>

#include <stddef.h>

namespace mobula {

/**
 * An ArrayBuffer over memory that is not V8's. `end(data)` is called once, when the last view of the memory is gone, on
 * whatever thread finds that out: a sweeper of V8 too.
 *
 * `napi_no_external_buffers_allowed`: this runtime has no such buffers, and the memory is still the caller's. Any other
 * failure: `end` has been called or will be.
 */
napi_status CreateExternalBuffer(napi_env env, void* address, size_t length, void (*end)(void*), void* data,
                                 napi_value* buffer);

}  // namespace mobula

#endif
