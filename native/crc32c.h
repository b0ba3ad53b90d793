#ifndef MOBULA_CRC32C_H_
#define MOBULA_CRC32C_H_

#include <stddef.h>
#include <stdint.h>

namespace mobula {

/** CRC-32C (Castagnoli) of bytes that follow others with checksum `before` (0: nothing before). */
uint32_t Crc32c(const uint8_t* data, size_t length, uint32_t before);

/** The same by table, on any processor. */
uint32_t Crc32cByTable(const uint8_t* data, size_t length, uint32_t before);

}  // namespace mobula

#endif
