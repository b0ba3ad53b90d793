#ifndef MOBULA_ARGUMENTS_H_
#define MOBULA_ARGUMENTS_H_

#define NAPI_VERSION 8
#include <node_api.h>

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

namespace mobula {

/** Throws an error whose `code` is the name of the errno, and gives what a callback returns then. */
napi_value ThrowErrno(napi_env env, const char* call, int error);
napi_value ThrowArgument(napi_env env, const char* message);

napi_value Number(napi_env env, double value);
napi_value Boolean(napi_env env, bool value);
napi_value Undefined(napi_env env);

constexpr size_t kMaxArguments = 4;
/** JavaScript's largest whole number. */
constexpr double kMaxWhole = 9007199254740991.0;

/** The arguments of a call. Each getter gives false after throwing. */
struct Arguments {
  napi_env env;
  size_t count = kMaxArguments;
  napi_value values[kMaxArguments];

  Arguments(napi_env env, napi_callback_info info);

  /** A whole number from `low` to `high`. */
  bool Whole(size_t index, double low, double high, double* result, const char* complaint);
  bool Descriptor(size_t index, int* fd);
  /** A byte range of a file. */
  bool Range(size_t index, off_t* offset, size_t* length);
  /** A Uint8Array. */
  bool Bytes(size_t index, uint8_t** data, size_t* length);
};

}  // namespace mobula

#endif
