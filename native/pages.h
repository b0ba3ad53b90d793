#ifndef MOBULA_PAGES_H_
#define MOBULA_PAGES_H_

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

namespace mobula {

/** Of this machine: 4 KiB, on arm64 also 16 or 64. */
extern const size_t kPage;

/**
 * `mmap`, readable and writable, at an address that lies in a large page exactly where the offset does in the file: the
 * kernel shows a file's large page as one only to such mappings, and else as 512 small ones with a fault for every 16 of them.
 */
void* MapAligned(int fd, off_t offset, size_t length, int flags);

/**
 * Have the kernel show the pages of a new mapping in a few calls, instead of with a fault for each when it is read: 0.15 ms
 * and not 0.9 ms for 100 MB in large pages, where a virtual machine takes 19 us for a fault. As much as a millisecond gives
 * (small pages: 30 MB); the rest is shown when it is read, as everything is before Linux 5.14.
 */
void ShowPages(void* address, size_t length);

/** Take space for a range of a file, which keeps its contents; in large pages where it can be. 0 or an errno. */
int Reserve(int fd, off_t offset, size_t length);

/** A clock that only goes forward. */
int64_t NowMs();

}  // namespace mobula

#endif
