/** What the addon is given and what it gives back: everything from JavaScript is checked here. */
#include "arguments.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

namespace mobula {

namespace {

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

}  // namespace

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

Arguments::Arguments(napi_env env, napi_callback_info info) : env(env) {
  if (napi_get_cb_info(env, info, &count, values, nullptr, nullptr) != napi_ok) count = 0;
}

bool Arguments::Whole(size_t index, double low, double high, double* result, const char* complaint) {
  double value = 0;
  bool is_number = index < count && napi_get_value_double(env, values[index], &value) == napi_ok;
  if (!is_number || !(value >= low && value <= high) || value != static_cast<double>(static_cast<int64_t>(value))) {
    ThrowArgument(env, complaint);
    return false;
  }
  *result = value;
  return true;
}

bool Arguments::Descriptor(size_t index, int* fd) {
  double value;
  if (!Whole(index, 0, INT32_MAX, &value, "a file descriptor is a whole number from 0 on")) return false;
  *fd = static_cast<int>(value);
  return true;
}

bool Arguments::Range(size_t index, off_t* offset, size_t* length) {
  double from, size;
  if (!Whole(index, 0, kMaxWhole, &from, "an offset is a whole number of bytes from 0 on")) return false;
  if (!Whole(index + 1, 1, kMaxWhole - from, &size, "a length is a whole number of bytes from 1 on")) return false;
  *offset = static_cast<off_t>(from);
  *length = static_cast<size_t>(size);
  return true;
}

bool Arguments::Bytes(size_t index, uint8_t** data, size_t* length) {
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

}  // namespace mobula
