/**
 * CRC-32C with the processor's instruction where there is one (SSE 4.2, ARMv8 CRC), else by table.
 *
 * The instruction takes 3 cycles but one can begin each cycle, so three stretches of the data are computed side by side.
 * Their checksums are then put together: to append n bytes to a checksum is linear, so moving a checksum over n zeros is
 * four look-ups in a table made once for n.
 */
#include "crc32c.h"

#include <string.h>
#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__aarch64__)
#include <arm_acle.h>
#if defined(__linux__)
#include <sys/auxv.h>
#endif
#endif

namespace mobula {
namespace {

/** The polynomial, with its bits reversed. */
constexpr uint32_t kPolynomial = 0x82f63b78;
/** Lengths of a stretch: long ones for bulk data, short ones for what is left. Multiples of 8. */
constexpr size_t kLong = 8192;
constexpr size_t kShort = 256;

/** Eight bytes in a step: entry [k][b] is byte b followed by k zeros. */
struct ByteTables {
  uint32_t entries[8][256];

  ByteTables() {
    for (uint32_t byte = 0; byte < 256; byte++) {
      uint32_t crc = byte;
      for (int bit = 0; bit < 8; bit++) crc = (crc & 1) != 0 ? (crc >> 1) ^ kPolynomial : crc >> 1;
      entries[0][byte] = crc;
    }
    for (uint32_t byte = 0; byte < 256; byte++) {
      for (int zeros = 1; zeros < 8; zeros++) {
        uint32_t crc = entries[zeros - 1][byte];
        entries[zeros][byte] = (crc >> 8) ^ entries[0][crc & 0xff];
      }
    }
  }
};

// Made while the library is loaded, before any thread can ask.
const ByteTables byte_tables;

uint32_t ExtendByTable(uint32_t crc, const uint8_t* data, size_t length) {
  const auto& table = byte_tables.entries;
  for (; length >= 8; data += 8, length -= 8) {
    uint64_t word;
    memcpy(&word, data, 8);
    word ^= crc;
    crc = 0;
    for (int byte = 0; byte < 8; byte++) crc ^= table[7 - byte][(word >> (8 * byte)) & 0xff];
  }
  for (; length > 0; data++, length--) crc = (crc >> 8) ^ table[0][(crc ^ *data) & 0xff];
  return crc;
}

#if defined(__x86_64__) || defined(__aarch64__)

/** Moves a checksum over a fixed number of zeros. */
struct ZerosTable {
  uint32_t entries[4][256];

  explicit ZerosTable(size_t zeros) {
    uint8_t nothing[256] = {};
    uint32_t bits[32];
    for (int bit = 0; bit < 32; bit++) {
      uint32_t crc = 1u << bit;
      for (size_t left = zeros; left > 0;) {
        size_t step = left < sizeof nothing ? left : sizeof nothing;
        crc = ExtendByTable(crc, nothing, step);
        left -= step;
      }
      bits[bit] = crc;
    }
    for (int byte = 0; byte < 4; byte++) {
      for (uint32_t value = 0; value < 256; value++) {
        uint32_t crc = 0;
        for (int bit = 0; bit < 8; bit++) {
          if ((value >> bit & 1) != 0) crc ^= bits[8 * byte + bit];
        }
        entries[byte][value] = crc;
      }
    }
  }

  uint32_t Move(uint32_t crc) const {
    return entries[0][crc & 0xff] ^ entries[1][crc >> 8 & 0xff] ^ entries[2][crc >> 16 & 0xff] ^ entries[3][crc >> 24];
  }
};

const ZerosTable over_long(kLong);
const ZerosTable over_short(kShort);

#if defined(__x86_64__)
#define MOBULA_CRC_TARGET __attribute__((target("sse4.2")))
MOBULA_CRC_TARGET inline uint64_t Step8(uint64_t crc, uint64_t word) { return _mm_crc32_u64(crc, word); }
MOBULA_CRC_TARGET inline uint64_t Step1(uint64_t crc, uint8_t byte) {
  return _mm_crc32_u8(static_cast<uint32_t>(crc), byte);
}
bool HasInstruction() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("sse4.2");
}
#else
#if defined(__clang__)
#define MOBULA_CRC_TARGET __attribute__((target("crc")))
#else
#define MOBULA_CRC_TARGET __attribute__((target("+crc")))
#endif
MOBULA_CRC_TARGET inline uint64_t Step8(uint64_t crc, uint64_t word) {
  return __crc32cd(static_cast<uint32_t>(crc), word);
}
MOBULA_CRC_TARGET inline uint64_t Step1(uint64_t crc, uint8_t byte) {
  return __crc32cb(static_cast<uint32_t>(crc), byte);
}
bool HasInstruction() {
#if defined(__linux__)
  constexpr unsigned long kCrc32 = 1ul << 7; // HWCAP_CRC32
  return (getauxval(AT_HWCAP) & kCrc32) != 0;
#else
  return true; // every ARM processor that macOS runs on
#endif
}
#endif

inline uint64_t Load(const uint8_t* data) {
  uint64_t word;
  memcpy(&word, data, 8);
  return word;
}

/** As many triple stretches as there are; the data behind them. */
template <size_t kStretch>
MOBULA_CRC_TARGET inline uint64_t Stretches(uint64_t crc, const uint8_t** data, size_t* length,
                                            const ZerosTable& over) {
  while (*length >= 3 * kStretch) {
    uint64_t second = 0, third = 0;
    const uint8_t* at = *data;
    for (const uint8_t* end = at + kStretch; at < end; at += 8) {
      crc = Step8(crc, Load(at));
      second = Step8(second, Load(at + kStretch));
      third = Step8(third, Load(at + 2 * kStretch));
    }
    crc = over.Move(static_cast<uint32_t>(crc)) ^ second;
    crc = over.Move(static_cast<uint32_t>(crc)) ^ third;
    *data += 3 * kStretch;
    *length -= 3 * kStretch;
  }
  return crc;
}

MOBULA_CRC_TARGET uint32_t ExtendByInstruction(uint32_t before, const uint8_t* data, size_t length) {
  uint64_t crc = before;
  crc = Stretches<kLong>(crc, &data, &length, over_long);
  crc = Stretches<kShort>(crc, &data, &length, over_short);
  for (; length >= 8; data += 8, length -= 8) crc = Step8(crc, Load(data));
  for (; length > 0; data++, length--) crc = Step1(crc, *data);
  return static_cast<uint32_t>(crc);
}

const bool has_instruction = HasInstruction();

#endif

}  // namespace

uint32_t Crc32cByTable(const uint8_t* data, size_t length, uint32_t before) {
  return ~ExtendByTable(~before, data, length);
}

uint32_t Crc32c(const uint8_t* data, size_t length, uint32_t before) {
#if defined(__x86_64__) || defined(__aarch64__)
  if (has_instruction) return ~ExtendByInstruction(~before, data, length);
#endif
  return Crc32cByTable(data, length, before);
}

}  // namespace mobula
