#ifndef MOBULA_MAPPINGS_H_
#define MOBULA_MAPPINGS_H_

#define NAPI_VERSION 8
#include <node_api.h>

namespace mobula {

/** mapShared(fd, offset, length): ArrayBuffer. The offset of either kind is a multiple of 4 KiB, whatever pages the machine has. */
napi_value MapShared(napi_env env, napi_callback_info info);
/** mapPrivate(fd, offset, length, token): ArrayBuffer. `takeReleased` gives the token, unless it is -1. */
napi_value MapPrivate(napi_env env, napi_callback_info info);
/** unmap(buffer): detach it now. Never for what user code may hold. */
napi_value Unmap(napi_env env, napi_callback_info info);
/** liveMaps(): number of private mappings of this process */
napi_value LiveMaps(napi_env env, napi_callback_info info);
/**
 * copyPrivateMaps(): make this environment's private mappings independent of their files, which may change now. Those without
 * a token are nobody's for longer than their block is pinned, which may have ended: the file may be shorter by now.
 */
napi_value CopyPrivateMaps(napi_env env, napi_callback_info info);
/** onReleased(callback): called when there is something to take. One for each environment; the last one counts. */
napi_value OnReleased(napi_env env, napi_callback_info info);
/** takeReleased(): the tokens of mappings of this environment that are gone, each once */
napi_value TakeReleased(napi_env env, napi_callback_info info);

/** What an environment (main thread or worker thread) has of its own. False where it cannot be had. */
bool BeginListener(napi_env env);

}  // namespace mobula

#endif
